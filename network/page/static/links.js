// Peers and links: nodes on a circle, a line for each pair that is connected, and what faults do to it.

import { el, keyed, svg, update } from "./dom.js";
import { amount, nodeClass } from "./format.js";

const SIZE = 230;
const RADIUS = 82;
const LABELS_MAX = 12;

let drawing = null;

/** Bring the drawing and the list up to date. */
export function drawLinks(place, { links, nodes }, names) {
  drawing ??= start(place);
  const points = new Map(names.map((name, index) => {
    const angle = (2 * Math.PI * index) / names.length - Math.PI / 2 - (names.length === 4 ? Math.PI / 4 : 0);
    return [name, { x: SIZE / 2 + RADIUS * Math.cos(angle) * 1.12, y: SIZE / 2 + RADIUS * Math.sin(angle) }];
  }));
  const lines = linesOf(links, names);
  keyed(
    drawing.lines,
    lines,
    (line) => line.key,
    () => svg("line"),
    (element, line) => {
      const from = points.get(line.one);
      const to = points.get(line.other);
      update(element, { x1: from.x, y1: from.y, x2: to.x, y2: to.y, class: `link ${line.kind}` });
    },
  );
  const labelled = lines.filter((line) => line.label).slice(0, LABELS_MAX);
  keyed(
    drawing.labels,
    labelled,
    (line) => line.key,
    () => svg("g", { class: "label" }, svg("rect", { rx: 5, height: 15, y: -8 }), svg("text", { y: 3.5 })),
    (group, line) => {
      const from = points.get(line.one);
      const to = points.get(line.other);
      // lines that cross in the centre have their labels beside it
      const central = Math.hypot((from.x + to.x - SIZE) / 2, (from.y + to.y - SIZE) / 2) < 20;
      const part = central ? 0.34 : 0.5;
      group.style.transform = `translate(${from.x + (to.x - from.x) * part}px, ${from.y + (to.y - from.y) * part}px)`;
      const width = line.label.length * 5.9 + 8;
      update(group.firstChild, { width, x: -width / 2 });
      update(group.lastChild, { text: line.label });
    },
  );
  const states = new Map(nodes.map((node) => [node.name, node.state]));
  keyed(
    drawing.nodes,
    names,
    (name) => name,
    (name) => svg("g", {}, svg("circle", { r: names.length > 12 ? 9 : 15 }), svg("text", { y: names.length > 12 ? 3 : 4, class: names.length > 12 ? "small" : null, text: name.slice(0, 4) })),
    (group, name) => {
      const point = points.get(name);
      group.style.transform = `translate(${point.x}px, ${point.y}px)`;
      update(group, { class: `peer ${nodeClass(name, names)} ${states.get(name) === "running" ? "" : "away"}` });
    },
  );
  update(drawing.svg, { "aria-label": describe(lines, names) });
  const told = lines.filter((line) => line.words);
  keyed(
    drawing.list,
    told.length ? told : [{ key: "none", words: links.changeable || names.length > 1 ? `${links.connected.length} of ${(names.length * (names.length - 1)) / 2} pairs connected, no fault on any link` : "A node alone has no links." }],
    (line) => line.key,
    () => el("li"),
    (item, line) => update(item, { text: line.words, class: line.kind ?? "muted" }),
  );
}

function start(place) {
  const [lines, labels, nodes] = [svg("g"), svg("g"), svg("g")];
  const root = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", class: "ring" }, lines, nodes, labels);
  const list = el("ul", { class: "link-list" });
  place.append(el("div", { class: "ring-box" }, root, list));
  return { svg: root, lines, labels, nodes, list };
}

/** One line for each pair that is connected or has a fault: cut, spoiled, or plain. */
function linesOf(links, names) {
  const pairs = new Map();
  const pair = (one, other) => {
    const [first, second] = names.indexOf(one) < names.indexOf(other) ? [one, other] : [other, one];
    const key = `${first} ${second}`;
    if (!pairs.has(key)) pairs.set(key, { key, one: first, other: second, kind: "", label: "", words: "", cuts: [], spoiled: [] });
    return pairs.get(key);
  };
  for (const [one, other] of links.connected) pair(one, other);
  for (const [source, target] of links.cut) pair(source, target).cuts.push([source, target]);
  for (const link of links.spoiled) pair(link.source, link.target).spoiled.push(link);
  for (const line of pairs.values()) {
    if (line.cuts.length) {
      line.kind = "cut";
      line.words = line.cuts.length > 1 ? `${line.one} and ${line.other} do not hear each other` : `${line.cuts[0][1]} does not hear ${line.cuts[0][0]}`;
    } else if (line.spoiled.length) {
      line.kind = "spoiled";
      const [first, second] = line.spoiled;
      const both = second && conditionOf(first) === conditionOf(second);
      line.label = conditionOf(first, true);
      line.words = both ? `${line.one} ↔ ${line.other}: ${conditionOf(first)}` : line.spoiled.map((link) => `${link.source} → ${link.target}: ${conditionOf(link)}`).join("; ");
    }
  }
  return [...pairs.values()];
}

function conditionOf(link, brief = false) {
  const words = [];
  if (link.delay_ms) words.push(`${link.delay_ms} ms${brief ? "" : " later"}`);
  if (link.jitter_ms) words.push(`±${link.jitter_ms} ms`);
  if (link.loss) words.push(`${+(link.loss * 100).toFixed(1)}%${brief ? "" : " lost"}`);
  if (link.bytes_per_s) words.push(`${amount(link.bytes_per_s)}B/s`);
  if (!brief && link.duplication) words.push(`${+(link.duplication * 100).toFixed(1)}% twice`);
  if (!brief && link.reorder) words.push(`${+(link.reorder * 100).toFixed(1)}% overtaken`);
  return words.join(brief ? " " : ", ");
}

function describe(lines, names) {
  const bad = lines.filter((line) => line.words).map((line) => line.words);
  return bad.length ? `Links: ${bad.join(". ")}` : `${names.length} nodes, no fault on any link`;
}
