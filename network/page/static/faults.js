// Buttons that put faults on the network: the same ones as the commands of these names.

import { post } from "./api.js";
import { el, keyed, update } from "./dom.js";
import { clock, nodeClass } from "./format.js";

const LIES = ["equivocate", "double-vote", "surround-vote", "wrong-root", "invalid-tx", "withhold", "silent", "stale-replay", "amnesia", "twins"];

let panel = null;

/** Bring the panel up to date; what somebody has chosen in it stays. */
export function showFaults(place, snapshot, names) {
  panel ??= start(place, snapshot, names);
  const { faults, nodes, links, network } = snapshot;
  keyed(
    panel.on,
    faults,
    (fault) => `${fault.words} ${fault.since_ms}`,
    (fault) => el("li", {}, el("span", { text: fault.words }), el("span", { class: "num", text: `since ${clock(fault.since_ms)}` })),
  );
  const chosen = nodes.find((node) => node.name === panel.node.value);
  const state = chosen?.state ?? "";
  for (const [name, button] of Object.entries(panel.actions)) {
    const possible = { kill: state !== "stopped", pause: state === "running", resume: state === "paused", restart: true };
    button.disabled = panel.busy || !possible[name];
  }
  for (const button of panel.needLinks) button.disabled = panel.busy || !links.changeable;
  for (const button of panel.others) button.disabled = panel.busy;
  panel.reorg.disabled = panel.busy || network.engine !== "pos" || !links.changeable;
}

function start(place, { network }, names) {
  const made = { busy: false, actions: {}, needLinks: [], others: [], on: el("ul", { class: "on", "aria-label": "Faults that are on" }) };
  const outcome = el("p", { class: "outcome", role: "status" });

  const act = async (wanted, waiting) => {
    if (made.busy) return;
    made.busy = true;
    update(outcome, { text: waiting, class: "outcome muted" });
    try {
      const done = await post("/api/deed", wanted);
      update(outcome, { text: done.text, class: "outcome" });
    } catch (refused) {
      update(outcome, { text: [refused.message, refused.hint].filter(Boolean).join(". "), class: "outcome bad" });
    } finally {
      made.busy = false;
    }
  };
  const button = (text, kind, listener) => el("button", { type: "button", class: kind, text, on: { click: listener } });
  const choice = (label, values) =>
    el("select", { "aria-label": label }, values.map((value) => el("option", { value, text: value })));
  const field = (legend, ...rows) => el("fieldset", {}, el("legend", { text: legend }), rows);
  const row = (...parts) => el("div", { class: "row" }, parts);

  // a split: each node is pressed to the other side
  const sides = names.map((name, index) => {
    const side = el(
      "button",
      { type: "button", class: "side", "aria-pressed": String(index >= names.length / 2), title: "Press to put it on the other side" },
      el("i", { class: `dot node ${nodeClass(name, names)}` }),
      el("span", { text: name }),
    );
    side.addEventListener("click", () => update(side, { "aria-pressed": String(side.getAttribute("aria-pressed") !== "true") }));
    return side;
  });
  const split = button("Split", "primary", () => {
    const groups = [[], []];
    sides.forEach((side, index) => groups[side.getAttribute("aria-pressed") === "true" ? 1 : 0].push(names[index]));
    if (!groups[0].length || !groups[1].length) {
      update(outcome, { text: "A split has two sides: press a node to put it on the other one.", class: "outcome bad" });
      return;
    }
    act({ do: "partition", groups }, "splitting …");
  });
  const heal = button("Heal links", "", () => act({ do: "heal" }, "healing …"));
  made.needLinks.push(split);
  made.others.push(heal);

  made.node = choice("Node", names);
  for (const [name, text, kind] of [["kill", "Kill", "danger"], ["pause", "Pause", ""], ["resume", "Resume", ""], ["restart", "Restart", ""]]) {
    made.actions[name] = button(text, kind, () => act({ do: name, node: made.node.value }, `${name} ${made.node.value} …`));
  }

  const lies = LIES.filter((lie) => lie !== "surround-vote" || network.engine === "pos");
  const liar = choice("Liar", names);
  const lie = choice("Lie", lies);
  const tell = button("Lie", "danger", () => act({ do: "byz", node: liar.value, kind: lie.value }, `${liar.value} is told to lie …`));
  const honest = button("Be honest", "", () => act({ do: "byz", node: liar.value, kind: "honest" }, `${liar.value} is told the truth …`));
  made.others.push(tell, honest);

  const source = choice("One end of the link", names);
  const target = choice("Other end of the link", names);
  target.selectedIndex = Math.min(1, names.length - 1);
  const delay = el("input", { type: "number", min: 0, max: 600000, step: 10, value: 200 });
  const loss = el("input", { type: "number", min: 0, max: 100, step: 1, value: 0 });
  const spoil = button("Set link", "primary", () => {
    const wanted = { do: "link", source: source.value, target: target.value, delay_ms: delay.valueAsNumber || 0, loss: (loss.valueAsNumber || 0) / 100 };
    act(wanted, "changing the link …");
  });
  const clear = button("Clear", "", () => act({ do: "link", source: source.value, target: target.value, clear: true }, "clearing the link …"));
  made.needLinks.push(spoil, clear);

  const depth = el("input", { type: "number", min: 1, max: 32, value: 1 });
  made.reorg = button("Reorganise", "danger", () => act({ do: "reorg", depth: depth.valueAsNumber || 1 }, "splitting, building two branches, healing: this takes some seconds …"));

  const alone = names.length < 2; // nobody to be split from, and nobody to lie to
  place.append(made.on);
  if (!alone) place.append(field("Split the network", row(sides), row(split, heal)));
  place.append(field("A node", row(made.node, ...Object.values(made.actions))));
  if (!alone) {
    place.append(
      field("A link", row(source, target, el("label", {}, "ms", delay), el("label", {}, "% lost", loss)), row(spoil, clear)),
      field("A liar", row(liar, lie, tell, honest)),
    );
  }
  if (network.engine === "pos") place.append(field("A reorganisation", row(el("label", {}, "blocks deep", depth), made.reorg)));
  place.append(outcome);
  return made;
}
