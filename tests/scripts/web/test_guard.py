"""Who may ask the server: hosts, origins, tokens, and what it tells browsers to refuse."""

import json
import signal
import socket
import time

import pytest

from tests.support.web import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("runs")) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "0.0.0.0:{port}"]
)
def test_a_name_that_is_not_ours_is_refused_whatever_cookie_comes_with_it(server, host):
    host = host.format(port=server.port)
    status, _, body = server.send("GET", "/api/runs", headers={"Host": host})
    assert status == 400
    assert b"127.0.0.1" in body
    origin = {"Host": host, "Origin": f"http://{host}"}  # as a rebound name would have it
    assert server.send("POST", "/api/ask/names", "{}", origin)[0] == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9999", "127.0.0.1:1"])
def test_our_own_names_are_served_on_any_port_for_ssh_may_lead_from_another_one(server, host):
    assert server.send("GET", "/api/runs", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", None, "https://127.0.0.1:{port}", "http://127.0.0.1:1",
     "http://localhost:{port}"],
)  # fmt: skip
def test_a_write_from_another_origin_is_refused(server, origin):
    headers = {"Origin": origin and origin.format(port=server.port)}
    for path in ("/api/ask/names", "/api/allow"):
        assert server.send("POST", path, "{}", headers)[0] == 403


@pytest.mark.parametrize("cookie", ["", "selfplay-{port}=", "selfplay-{port}=x", "other={value}"])
@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=x", "/api/runs", "/static/app.js"])
def test_nothing_is_served_without_the_cookie(server, cookie, path):
    value = server.cookie.partition("=")[2]
    headers = {"Cookie": cookie.format(port=server.port, value=value)}
    status, given, body = server.send("GET", path, headers=headers)
    assert status == 401
    assert "set-cookie" not in given
    assert b"selfplay web" in body


def test_the_token_is_exchanged_for_a_cookie_that_no_script_and_no_other_site_gets(server):
    status, given, body = server.send("GET", f"/?token={server.token}", headers={"Cookie": None})
    assert status == 200
    assert b"<html" in body
    name, *flags = given["set-cookie"].split("; ")
    assert name.startswith(f"selfplay-{server.port}=")
    assert server.token not in name
    assert {"HttpOnly", "SameSite=Strict"} <= set(flags)


def test_the_token_does_not_open_other_paths(server):
    status, given, _ = server.send("GET", f"/api/runs?token={server.token}", headers={"Cookie": ""})
    assert status == 401
    assert "set-cookie" not in given


@pytest.mark.parametrize("path", ["/", "/api/runs", "/static/app.js", "/nothing", "/api/run?run=x"])
def test_every_answer_says_what_a_page_may_load_and_that_nobody_may_frame_it(server, path):
    _, given, _ = server.send("GET", path)
    policy = given["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert given["x-content-type-options"] == "nosniff"
    assert given["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in given


def test_another_page_of_this_machine_reads_nothing_though_it_has_the_cookie(server):
    for site, status in (("same-site", 403), ("cross-site", 403), ("same-origin", 200)):
        assert server.send("GET", "/api/runs", headers={"Sec-Fetch-Site": site})[0] == status


@pytest.mark.parametrize("path", ["/api/ask/names", "/api/allow"])
def test_a_get_of_a_write_changes_nothing(server, path):
    assert server.send("GET", path)[0] == 405


@pytest.mark.parametrize("body", ["", "[]", "3", "{", "nul", '"x"', "[" * 100_000])
def test_a_body_that_is_no_object_is_refused_in_a_sentence(server, body):
    status, _, answer = server.send("POST", "/api/ask/names", body)
    assert status == 400
    assert "JSON object" in json.loads(answer)["error"]


def test_a_form_cannot_write(server):
    headers = {"Content-Type": "text/plain"}
    assert server.send("POST", "/api/ask/names", "{}", headers)[0] == 415


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/x"]
)
def test_static_files_are_those_of_the_folder_only(server, path):
    assert server.send("GET", path)[0] in (400, 404)


def test_it_listens_to_this_machine_only(server):
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", server.port))  # of the same interface, and not ours


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_with_a_request_under_way(tmp_path, number):
    with serving(tmp_path) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as hanging:
            hanging.sendall(b"GET / HTTP/1.1\r\n")  # and never ends
            time.sleep(0.2)
            began = time.monotonic()
            client.process.send_signal(number)
            code = client.process.wait(timeout=10)
        assert time.monotonic() - began < 5.0  # a second, on a machine that is not busy
        assert code == 0
