// The block tree: time from left to right, a lane for each branch, who votes above a block, whose head it is below.

import { keyed, svg, update } from "./dom.js";
import { nodeClass, plural, short } from "./format.js";

const COLUMN = 54;
const LANE = 88;
const WIDTH = 42;
const HEIGHT = 27;
const TOP = 16;
const LEFT = 22;
const PER_ROW = 2;
const SHOWN_HEADS = 6;
const COLUMNS_MIN = 14;

let drawing = null;

/** Bring the drawing up to date. */
export function drawTree(place, note, tree, names) {
  drawing ??= start(place);
  const atEnd = place.scrollLeft + place.clientWidth >= place.scrollWidth - COLUMN;
  const fit = Math.max(COLUMNS_MIN, Math.floor((place.clientWidth - LEFT - 12) / COLUMN));
  const lowest = Math.max(tree.lowest, tree.highest - fit + 1);
  const blocks = tree.blocks.filter((block) => block.number >= lowest);
  const lanes = Math.max(0, ...blocks.map((block) => block.lane)) + 1;
  const rows = Math.max(1, ...blocks.map((block) => Math.ceil(Math.min(block.head_of.length, SHOWN_HEADS) / PER_ROW)));
  const height = TOP + (lanes - 1) * LANE + HEIGHT + rows * 16 + 8;
  const width = Math.max(place.clientWidth, LEFT + COLUMN * COLUMNS_MIN);
  update(drawing.svg, { viewBox: `0 0 ${width} ${height}`, width, height });
  const known = new Map(blocks.map((block) => [block.hash, block]));
  drawing.moving.style.transform = `translateX(${LEFT - lowest * COLUMN}px)`;
  keyed(
    drawing.moving,
    blocks,
    (block) => block.hash,
    make,
    (group, block) => change(group, block, known, names),
  );
  if (atEnd) place.scrollLeft = place.scrollWidth; // on a small screen the newest blocks stay in sight
  const branches = new Set(blocks.filter((block) => block.state !== "finalized" && block.state !== "lost").map((block) => block.lane));
  const words = [
    branches.size > 1 ? `${branches.size} branches` : "",
    tree.left_out ? `${plural(tree.left_out, "block")} of further branches not drawn` : "",
  ];
  update(note, { text: words.filter(Boolean).join(" · ") });
}

function start(place) {
  const moving = svg("g", { class: "moving" });
  const root = svg("svg", { role: "group", "aria-labelledby": "tree-title" }, moving);
  place.append(root);
  return { svg: root, moving };
}

function make(block) {
  const edge = svg("path", { class: "edge" });
  const label = svg("text", { class: "number", x: WIDTH / 2, y: HEIGHT / 2 + 4 });
  const gas = svg("rect", { class: "gas", x: 4, y: HEIGHT - 5.5, height: 2.5, rx: 1.2, width: 0 });
  const title = svg("title");
  const votes = svg("g", { class: "votes" });
  const heads = svg("g", { class: "heads" });
  const link = svg(
    "a",
    { href: `#/block/${encodeURIComponent(block.hash)}` },
    title,
    svg("rect", { class: "box", width: WIDTH, height: HEIGHT, rx: 6 }),
    gas,
    label,
  );
  const group = svg("g", {}, edge, link, votes, heads);
  group.parts = { edge, label, gas, title, votes, heads, link };
  group.style.transform = `translate(${block.number * COLUMN}px, ${TOP + block.lane * LANE}px)`;
  return group;
}

function change(group, block, known, names) {
  const { edge, label, gas, title, votes, heads, link } = group.parts;
  group.style.transform = `translate(${block.number * COLUMN}px, ${TOP + block.lane * LANE}px)`;
  update(group, { class: `block ${block.state}` });
  update(label, { text: block.number });
  const share = block.gas_limit ? Math.min(1, (block.gas ?? 0) / block.gas_limit) : 0;
  update(gas, { width: share > 0.05 ? share * (WIDTH - 8) : 0 });
  update(edge, { d: edgeOf(block, known.get(block.parent)), class: known.has(block.parent) ? "edge" : "edge stub" });
  const words = wordsOf(block);
  update(title, { text: words });
  update(link, { "aria-label": words });
  keyed(
    votes,
    block.votes.slice(0, 8),
    (name) => name,
    (name) => svg("circle", { cy: -6, r: 3, class: nodeClass(name, names) }),
    (dot, name) => update(dot, { cx: WIDTH / 2 + (block.votes.indexOf(name) - (Math.min(block.votes.length, 8) - 1) / 2) * 8 }),
  );
  const shown = block.head_of.length > SHOWN_HEADS ? [...block.head_of.slice(0, SHOWN_HEADS - 1), `+${block.head_of.length - SHOWN_HEADS + 1}`] : block.head_of;
  keyed(
    heads,
    shown,
    (name) => name,
    (name) =>
      svg(
        "g",
        { class: `head ${nodeClass(name, names)}` },
        svg("rect", { width: 23, height: 14, rx: 7 }),
        svg("text", { x: 11.5, y: 10.5, text: name.slice(0, 4) }),
      ),
    (pill, name) => {
      const at = shown.indexOf(name);
      const inRow = Math.min(PER_ROW, shown.length - Math.floor(at / PER_ROW) * PER_ROW);
      const x = WIDTH / 2 + ((at % PER_ROW) - (inRow - 1) / 2) * 25 - 11.5;
      pill.style.transform = `translate(${x}px, ${HEIGHT + 5 + Math.floor(at / PER_ROW) * 16}px)`;
    },
  );
}

/** From the parent's right side to this block's left one, in this block's coordinates. */
function edgeOf(block, parent) {
  const y = HEIGHT / 2;
  if (!parent) return block.number > 0 ? `M${WIDTH - COLUMN - 4} ${y} H0` : "";
  const fromX = (parent.number - block.number) * COLUMN + WIDTH;
  const fromY = (parent.lane - block.lane) * LANE + y;
  if (fromY === y) return `M${fromX} ${y} H0`;
  const bend = Math.min(12, -fromX / 2 || 6);
  return `M${fromX} ${fromY} C${fromX + bend} ${fromY} ${-bend} ${y} 0 ${y}`;
}

function wordsOf(block) {
  const states = { finalized: "final", justified: "justified", safe: "safe", open: "not final yet", lost: "lost: another branch is final" };
  return [
    `Block ${block.number} ${short(block.hash)}`,
    states[block.state],
    block.slot === null ? "" : `slot ${block.slot}`,
    block.proposer ? `proposed by ${block.proposer}` : "",
    block.txs === null ? "" : plural(block.txs, "transaction"),
    block.weight === null ? "" : `weight ${block.weight}`,
    block.votes.length ? `votes of ${block.votes.join(", ")}` : "",
    block.head_of.length ? `head of ${block.head_of.join(", ")}` : "",
  ].filter(Boolean).join(" · ");
}
