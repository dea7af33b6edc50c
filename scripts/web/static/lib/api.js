// Questions to the server: what lies on the disk, and what its worker thinks.

export class ApiError extends Error {
  // consent: the code that would have to run, which a person must allow first.
  constructor(message, consent) {
    super(message);
    this.consent = consent;
  }
}

// Returns what GET /api/PATH answers.
export async function get(path, params, signal) {
  const known = Object.entries(params || {}).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(known).toString();
  const answer = await reach(`/api/${path}${query ? `?${query}` : ""}`, { signal });
  return answered(answer);
}

// Returns {game, steps} of a run's checkpoints.
export function checkpointsOf(run, signal) {
  return get("checkpoints", { run }, signal);
}

// Returns the result of a question to the worker. While it works, onNote gets what is under way,
// onPart what is known so far. Aborting the signal cancels the question.
export async function ask(op, args, { onPart, onNote, signal } = {}) {
  const answer = await post(`/api/ask/${op}`, args, signal);
  if (!answer.ok) await answered(answer);
  for await (const line of lines(answer.body)) {
    if (line.note && onNote) onNote(line.note);
    if (line.part && onPart) onPart(line.part);
    if ("result" in line) return line.result;
    if ("error" in line) throw new ApiError(line.error, line.consent);
  }
  throw new ApiError("the server ended before it answered");
}

// One question at a time: another one ends it, and so does leaving the page.
export class Asker {
  // `tell` gets what is under way, "" at the end.
  constructor(page, tell = () => {}) {
    Object.assign(this, { page, tell, asking: null });
  }

  // Returns the answer of question({ signal, onNote }). It is undefined if it was called off, or failed, which the
  // page shows.
  async put(question) {
    this.stop();
    const asking = this.asking = new AbortController();
    const signal = AbortSignal.any([this.page.signal, asking.signal]);
    try {
      const answer = await question({ signal, onNote: this.tell });
      return signal.aborted ? undefined : answer;
    } catch (error) {
      if (!signal.aborted) this.page.fail(error);
      return undefined;
    } finally {
      if (this.asking === asking) this.stop();
    }
  }

  stop() {
    this.asking?.abort();
    this.asking = null;
    this.tell("");
  }
}

// Does something again and again while the screen is open and can be seen; less often where it takes long.
export function repeat(task, milliseconds, page) {
  const again = async () => {
    if (page.signal.aborted) return;
    const began = performance.now();
    if (!document.hidden) await task().catch((error) => page.signal.aborted || page.fail(error));
    setTimeout(again, Math.max(milliseconds, 20 * (performance.now() - began)));
  };
  setTimeout(again, milliseconds);
}

// Lets the worker run code that a run or a record names.
export async function allow(name) {
  await answered(await post("/api/allow", { name }));
}

// Starts the worker anew, which imports modules as they are now.
export async function restartWorker() {
  await answered(await post("/api/restart", {}));
}

// Asks something while the page is left: nobody waits for the answer.
export function askInPassing(op, args) {
  navigator.sendBeacon(`/api/ask/${op}`, new Blob([JSON.stringify(args)], { type: "application/json" }));
}

function post(path, args, signal) {
  const headers = { "Content-Type": "application/json" };
  return reach(path, { method: "POST", headers, body: JSON.stringify(args), signal });
}

async function reach(path, options) {
  try {
    return await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("the server does not answer: is selfplay web still running?");
  }
}

async function answered(answer) {
  const text = await answer.text();
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new ApiError(text.slice(0, 300) || `the server answered ${answer.status}`);
  }
  if (!answer.ok) throw new ApiError(content.error || `the server answered ${answer.status}`);
  return content;
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) yield JSON.parse(part);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
