// Elements made from data. Text goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
// What a drawing of ours may hold: anything else is left out, wherever it came from.
const DRAWN = new Set(["svg", "g", "rect", "circle", "line", "path", "polygon", "polyline", "text", "title"]);
const REFUSED = /^(on|style$|href$|xlink:)/i;

// Returns an element: h("button", {class: "primary", onclick: play}, "Play").
// A function is a listener; true is an attribute without a value; false, null and undefined none.
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

// Returns an element of SVG.
export function s(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else if (name === "value") element.value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

// Returns the <svg> of a drawing made by the server, with nothing in it but shapes and text.
export function svgFrom(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = parsed.documentElement;
  if (root.nodeName !== "svg") return s("svg", {});
  for (const element of [root, ...root.querySelectorAll("*")]) {
    if (!DRAWN.has(element.nodeName)) {
      element.remove();
      continue;
    }
    for (const { name } of [...element.attributes]) {
      if (REFUSED.test(name)) element.removeAttribute(name);
    }
  }
  return document.importNode(root, true);
}

// Empties a node, and returns it.
export function clear(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

// Returns text in parts, what stands between backticks as code.
export function coded(text) {
  return text.split(/`+([^`\n]+)`+/).map((part, k) => (k % 2 ? h("code", {}, part) : part));
}

// Returns a table: names of columns, and rows of cells (text or nodes).
export function table(head, rows, attributes) {
  const cells = (row, tag) => row.map((cell) => h(tag, {}, cell));
  return h("div", { class: "wide" },
    h("table", attributes,
      h("thead", {}, h("tr", {}, cells(head, "th"))),
      h("tbody", {}, rows.map((row) => (row instanceof Node ? row : h("tr", {}, cells(row, "td")))))));
}

// Returns a <select>; options are texts, or pairs of value and text.
export function choice(label, options, value, onchange) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const select = h("select", { "aria-label": label, onchange: () => onchange(select.value) },
    pairs.map(([key, name]) => h("option", { value: key, selected: key === value }, name)));
  return h("label", { class: "field" }, h("span", {}, label), select);
}

// Returns a labelled field of text or a number.
export function field(label, attributes) {
  return h("label", { class: "field" }, h("span", {}, label), h("input", attributes));
}

// Returns a bar of parts, [class, number] each.
export function resultBar(parts, label) {
  return h("span", { class: "result-bar", role: "img", "aria-label": label }, parts.map(([kind, part]) => {
    const piece = h("span", { class: kind });
    piece.style.flexGrow = part;
    return piece;
  }));
}

// Returns text as a sentence begins.
export function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// Numbers for people.
export function percent(share, digits = 1) {
  return share == null ? "" : `${(100 * share).toFixed(digits)}%`;
}

export function signed(value, digits = 2) {
  if (value == null) return "";
  const size = Math.abs(value).toFixed(digits);
  return Number(size) === 0 ? size : `${value < 0 ? "−" : "+"}${size}`;
}

export function count(value) {
  return value == null ? "" : Math.round(value).toLocaleString("en");
}
