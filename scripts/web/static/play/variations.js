// Moves of a game with all that was tried beside them, and how people see and walk them.

import { clear, h } from "../lib/dom.js";

// A position, reached by a move from `parent`. Whoever uses it may keep more on it.
class Node {
  constructor(parent, action, name, seat) {
    Object.assign(this, { parent, action, name, seat, children: [], next: null });
    this.ply = parent ? parent.ply + 1 : 0;
  }

  // The moves from the opening on.
  get moves() {
    return this.path.slice(1).map((node) => node.action);
  }

  // The nodes from the opening to this one.
  get path() {
    const found = [];
    for (let node = this; node; node = node.parent) found.push(node);
    return found.reverse();
  }

  // This node and what was last walked after it.
  get onward() {
    const found = [];
    for (let node = this; node; node = node.next) found.push(node);
    return found;
  }
}

export class Variations {
  constructor() {
    this.root = new Node(null, null, "", null);
    this.current = this.root;
  }

  // Adds a move after a node, unless it is there; returns where it leads.
  add(node, action, name, seat) {
    let child = node.children.find((one) => one.action === action);
    if (!child) {
      child = new Node(node, action, name, seat);
      node.children.push(child);
    }
    node.next = node.next || child;
    return child;
  }

  go(node) {
    this.current = node;
    for (let one = node; one.parent; one = one.parent) one.parent.next = one;
  }

  // Makes a node's line the main one: the first after each of its positions.
  promote(node) {
    for (let one = node; one.parent; one = one.parent) {
      const { parent } = one;
      parent.children = [one, ...parent.children.filter((other) => other !== one)];
    }
  }

  isMain(node) {
    return node.path.every((one) => !one.parent || one.parent.children[0] === one);
  }

  // The line through the current position, to its end.
  get line() {
    return [...this.current.path, ...this.current.onward.slice(1)];
  }

  // The main line, from the opening to its end.
  get main() {
    const found = [];
    for (let node = this.root; node; node = node.children[0]) found.push(node);
    return found;
  }

  // All moves that are not of the main line, as [parent, action]: numbered are the positions of the
  // main line, from 0 on, then those after these moves.
  get asides() {
    const numbers = new Map(this.main.map((node, k) => [node, k]));
    const found = [];
    const waiting = [this.root];
    while (waiting.length) {
      const node = waiting.pop();
      if (!numbers.has(node)) {
        found.push([numbers.get(node.parent), node.action]);
        numbers.set(node, numbers.size);
      }
      waiting.push(...node.children.slice().reverse());
    }
    return found;
  }

  // Removes a node with all after it; returns where one stands then.
  remove(node) {
    const { parent } = node;
    parent.children = parent.children.filter((one) => one !== node);
    if (parent.next === node) parent.next = parent.children[0] || null;
    return this.current.path.includes(node) ? parent : this.current;
  }

  // The node beside a node, `by` steps on among its parent's children.
  beside(node, by) {
    const all = node.parent?.children || [node];
    return all[(all.indexOf(node) + by + all.length) % all.length];
  }
}

// Shows a tree of moves: the first line through, others indented where they part from it.
export class VariationView {
  constructor(root, { onGo, about }) {
    this.root = root;
    this.onGo = onGo;
    this.about = about; // (node) => {classes, title} of its button
    this.buttons = new Map();
    root.classList.add("variations");
  }

  draw(tree) {
    this.buttons.clear();
    const start = this.button(tree.root, "start");
    clear(this.root, h("div", { class: "variation" }, start, this.after(tree.root)));
    this.mark(tree);
  }

  // Marks where one stands and what is on the line; cheaper than to draw anew.
  mark(tree) {
    const line = new Set(tree.line);
    for (const [node, button] of this.buttons) {
      button.classList.toggle("off-line", !line.has(node));
      if (node === tree.current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    const [box, place] = [this.root.getBoundingClientRect(), this.buttons.get(tree.current).getBoundingClientRect()];
    if (place.top < box.top || place.bottom > box.bottom) this.root.scrollTop += place.top - box.top - 8;
  }

  // What follows a node, with the other children in boxes of their own.
  after(node) {
    const parts = [];
    for (let at = node; at.children.length; at = at.children[0]) {
      const [first, ...others] = at.children;
      parts.push(this.button(first));
      parts.push(others.map((other) =>
        h("div", { class: "variation aside" }, this.button(other, null, true), this.after(other))));
    }
    return parts;
  }

  button(node, text, isFirst) {
    const { classes = "", title = "" } = node.parent ? this.about(node) : {};
    const number = node.parent ? h("span", { class: "ply" }, `${node.ply}.`) : null;
    const button = h("button", { type: "button", class: `ply-move ${classes}`, title, onclick: () => this.onGo(node) },
      number, text || node.name);
    if (isFirst) button.classList.add("first");
    this.buttons.set(node, button);
    return button;
  }
}
