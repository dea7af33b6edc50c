"""What is read of compiled programs: their kernels, loops, ways to the host, and memory."""

import types

import jax
import jax.numpy as jnp
import pytest

from scripts.developer import check_gpu, check_gpu_memory, check_gpu_text
from training import presets

GATHERED = """HloModule search

%inside (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %turned = f32[4]{0} transpose(%x)
  ROOT %row = f32[4]{0} gather(%turned, %turned)
}

%long (p: (f32[4])) -> f32[4] {
  %p = (f32[4]{0}) parameter(0)
  %a = f32[4]{0} get-tuple-element(%p), index=0
  %b = f32[4]{0} copy(%a)
  ROOT %c = f32[4]{0} copy(%b)
}

%short (q: (f32[4])) -> f32[4] {
  %q = (f32[4]{0}) parameter(0)
  ROOT %d = f32[4]{0} get-tuple-element(%q), index=0
}

%body (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  %e = f32[4]{0} get-tuple-element(%s), index=1
  %f = f32[4]{0} fusion(%e), kind=kLoop, calls=%inside
  %g = f32[4]{0} conditional(%e, %f, %f), branch_computations={%short, %long}
  ROOT %h = (s32[], f32[4]{0}) tuple(%e, %g)
}

ENTRY %main (y: f32[4]) -> f32[4] {
  %y = f32[4]{0} parameter(0)
  %first = f32[4]{0} copy(%y), metadata={op_name="jit(run)/copy"}
  %t = (s32[], f32[4]{0}) tuple(%y, %first)
  %w = (s32[], f32[4]{0}) while(%t), body=%body, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %out = f32[4]{0} get-tuple-element(%w), index=1
}
"""


OUTSIDE = """
%outside (o: f32[4]) -> token[] {
  %o = f32[4]{0} parameter(0)
  ROOT %fed = token[] outfeed(%o)
}
"""


def convolution(name, *operands, target="__cudnn$convBiasActivationForward", activation="kRelu"):
    """Returns a convolution of an H100's program, and the name of its result."""
    given = ", ".join(f"%{operand}" for operand in operands)
    return [
        f"  %{name} = (bf16[8,9,9,64]{{3,2,1,0}}, u8[0]{{0}}) custom-call({given}), "
        f'custom_call_target="{target}", backend_config={{"cudnn_conv_backend_config":'
        f'{{"activation_mode":"{activation}","conv_result_scale":1}}}}',
        f"  %{name}.0 = bf16[8,9,9,64]{{3,2,1,0}} get-tuple-element(%{name}), index=0",
    ]


def tower(first=(), between=(), into="stem.0", second=None, heads=None):
    """Returns the text of an evaluation with one block; arguments replace parts of it."""
    lines = [
        "ENTRY %main (x: pred[8,9,9,2]) -> bf16[8,9,9,12] {",
        "  %x = pred[8,9,9,2]{3,2,1,0} parameter(0)",
        "  %w = bf16[64,3,3,64]{3,2,1,0} parameter(1)",
        "  %b = bf16[64]{0} parameter(2)",
        "  %seen = bf16[8,9,9,2]{3,2,1,0} convert(%x)",
        *convolution("stem", "seen", "w", "b"),
        *between,
        *(first or convolution("inner", into, "w", "b")),
        *(second or convolution("outer", "inner.0", "w", "b", "stem.0")),
        *(heads or convolution("heads", "outer.0", "w", "b")),
        "}",
    ]
    return "\n".join(lines) + "\n"


def problems(text):
    return check_gpu.tower_problems(check_gpu_text.read(text), blocks=1)


def test_a_tower_of_fused_convolutions_has_no_problems():
    assert problems(tower()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            tower(
                between=["  %turned = bf16[8,9,9,64]{3,2,1,0} transpose(%stem.0)"], into="turned"
            ),
            "turned (transpose) stands before inner",
        ),
        (
            tower(first=convolution("inner", "stem.0", "w", "b", activation="kNone")),
            "inner has no ReLU",
        ),
        (
            tower(second=convolution("outer", "inner.0", "w", "b")),
            "outer must take its bias and the residual",
        ),
        (
            tower(heads=convolution("heads", "outer.0", "w", target="__cudnn$convForward")),
            "heads is a convolution by itself",
        ),
        (
            tower(heads=["  %heads = bf16[8,9,9,12]{3,2,1,0} convolution(%outer.0, %w)"]),
            "3 convolutions are one call, of 4",
        ),
    ],
)
def test_what_stands_between_convolutions_or_is_not_fused_with_them_is_named(text, said):
    found = problems(text)
    assert any(said in problem for problem in found), found


def test_kernels_are_counted_with_the_rounds_of_loops_and_the_longer_branch():
    program = check_gpu_text.read(GATHERED)
    assert check_gpu_text.count(program) == 1 + 5 * (1 + 2)
    assert check_gpu_text.count(check_gpu.largest_loop(program)) == 3
    assert check_gpu.loop_kernels(program) == 15


def test_a_kernel_is_told_by_its_most_telling_part_and_by_the_operation_that_asked_for_it():
    program = check_gpu_text.read(GATHERED)
    fused = check_gpu.largest_loop(program)[2]
    assert check_gpu_text.what(fused) == "gather"
    assert "1 gather" in check_gpu.by_kind(check_gpu.largest_loop(program))
    first = check_gpu_text.kernels(program)[0]
    assert (check_gpu_text.what(first), first.origin) == ("copy", "jit(run)/copy")


def compiled(function, *arguments):
    return check_gpu_text.read(jax.jit(function).lower(*arguments).compile().as_text())


def test_a_loop_of_fixed_rounds_is_no_problem_and_one_that_data_ends_is():
    x = jnp.ones(8)
    fixed = compiled(lambda x: jax.lax.fori_loop(0, 7, lambda _, y: jnp.sin(y) * x, x), x)
    assert [loop.rounds for loop in check_gpu_text.loops(fixed)] == [7]
    assert check_gpu.call_problems(fixed) == []
    until = compiled(lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y * 2, x), x)
    (found,) = check_gpu.call_problems(until)
    assert "depend on data" in found


def test_a_way_to_the_host_is_found_even_inside_a_loop():
    def step(_, y):
        return jax.pure_callback(lambda z: z, jax.ShapeDtypeStruct((8,), "float32"), y)

    program = compiled(lambda x: jax.lax.fori_loop(0, 7, step, x), jnp.ones(8))
    assert any("goes to the host" in found for found in check_gpu.call_problems(program))


@pytest.mark.parametrize(
    "planted",
    [
        "(f32[4]{0}, token[]) infeed(%e)",
        "token[] outfeed(%f, %e)",
        "(f32[4]{0}, u32[], token[]) send(%f, %e), channel_id=1, is_host_transfer=true",
        "(f32[4]{0}, token[]) recv-done(%e), channel_id=1, is_host_transfer=true",
        "f32[4]{0:S(5)} copy(%f)",
        "(f32[4]{0:S(5)}, f32[4]{0}, u32[]) copy-start(%f)",
        '(f32[4]{0}) custom-call(%f), custom_call_target="MoveToHost"',
        "((f32[4]{0}), token[], u32[]) async-start(%f), calls=%outside",
    ],
)
def test_a_transfer_to_or_from_the_host_is_found_inside_a_loop(planted):
    """XLA's compiler for CPUs makes none of these."""
    branch = "conditional(%e, %f, %f), branch_computations={%short, %long}"
    text = GATHERED.replace(branch, "copy(%f)").replace("search\n", f"search\n{OUTSIDE}", 1)
    assert check_gpu.call_problems(check_gpu_text.read(text)) == []
    text = text.replace("  ROOT %h", f"  %planted = {planted}\n  ROOT %h")
    (found,) = check_gpu.call_problems(check_gpu_text.read(text))
    assert "goes to the host" in found


def test_a_branch_that_the_host_chooses_is_found_inside_a_loop():
    def step(_, y):
        return jax.lax.cond(y.sum() > 9, jnp.sin, jnp.cos, y)

    program = compiled(lambda x: jax.lax.fori_loop(0, 7, step, x), jnp.ones(8))
    (found,) = check_gpu.call_problems(program)
    assert "the host chooses the branch" in found


def test_text_that_is_no_program_is_refused_with_what_to_pass():
    with pytest.raises(ValueError, match=r"'nonsense'.*as_text"):
        check_gpu_text.read("nonsense")


def planned(temporary, output=0, donated=0):
    """Returns what stands for a compiled program of which only its memory is asked."""
    analysis = types.SimpleNamespace(
        temp_size_in_bytes=temporary, output_size_in_bytes=output, alias_size_in_bytes=donated
    )
    return types.SimpleNamespace(memory_analysis=lambda: analysis)


def test_a_preset_fits_where_the_larger_program_and_the_weights_fit_and_not_below():
    config = presets.preset("gpu", "connect_four")
    play, training = planned(2 * 10**9), planned(3 * 10**9, output=10**9, donated=10**9)
    large = check_gpu_memory.plan(config, play, training, 10 * 10**9)
    assert large.problems == []
    assert large.planned.tree + large.planned.play == pytest.approx(2 * 10**9, rel=1e-6)
    assert large.planned.train == pytest.approx(3 * 10**9, rel=1e-6)
    assert "fits" in check_gpu_memory.described(large)
    # jax takes three quarters of a card, so that 3 GB of training do not go into 4.
    small = check_gpu_memory.plan(config, play, training, 4 * 10**9)
    assert any("learner.batch" in problem for problem in small.problems)
