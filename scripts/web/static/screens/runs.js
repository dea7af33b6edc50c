// All runs, the newest first.

import { get } from "../lib/api.js";
import { h } from "../lib/dom.js";

export async function show(root, params, page) {
  const { runs } = await get("runs", {}, page.signal);
  root.append(h("h1", {}, "Runs"), h("ul", {}, runs.map((run) =>
    h("li", {}, h("a", { href: page.link("run", { run: run.name }) }, run.name)))));
}
