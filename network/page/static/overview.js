// The cluster's view: everything above the explorer, brought up to date with each snapshot.

import { drawCharts } from "./charts.js";
import { announce, el, fill, keyed, update } from "./dom.js";
import { showFaults } from "./faults.js";
import { amount, clock, count } from "./format.js";
import { drawLinks } from "./links.js";
import { showNodes, showRoots, showVotes } from "./tables.js";
import { drawTree } from "./tree.js";

const byId = (id) => document.getElementById(id);
let said = "";

/** Show one snapshot. */
export function showSnapshot(snapshot) {
  const names = snapshot.nodes.map((node) => node.name);
  showHeadline(snapshot);
  drawTree(byId("tree"), byId("tree-note"), snapshot.tree, names);
  showNodes(byId("nodes"), snapshot, names);
  showRoots(byId("roots"), snapshot, names);
  showVotes(byId("votes"), byId("votes-note"), snapshot, names);
  drawLinks(byId("links"), snapshot, names);
  showFaults(byId("faults"), snapshot, names);
  drawCharts(byId("charts"), snapshot, names);
  showEvents(snapshot.events);
}

let networkKey = "";
/** Name and kind of the network, in the page's head. */
export function showNetwork({ network, nodes }) {
  const key = JSON.stringify([network, nodes.length]);
  if (key === networkKey) return;
  networkKey = key;
  const engines = { pos: "proof of stake", bft: "bft", instant: "instant" };
  byId("legend-justified").hidden = network.engine !== "pos";
  fill(
    byId("network"),
    el("strong", { text: network.name }),
    el("span", { class: "chip", text: engines[network.engine] ?? network.engine }),
    el("span", { class: "chip", text: `chain ${network.chain_id}` }),
    el("span", { class: "chip", text: `${network.block_time_ms / 1000} s a block` }),
    network.dev ? el("span", { class: "chip warn", text: "dev" }) : null,
  );
}

function showHeadline({ headline, nodes, tree, charts }) {
  update(byId("headline"), { "data-tone": headline.tone });
  update(byId("headline-title"), { text: headline.title });
  keyed(byId("headline-details"), headline.details, (line) => line, (line) => el("li", { text: line }));
  const words = `${headline.title}. ${headline.details.join(" ")}`;
  const plain = words.replace(/\d+/g, "");
  if (said !== plain) {
    said = plain; // a height that moves on is no news
    announce(words);
  }
  const recent = charts.blocks.slice(-10);
  const time = recent.reduce((sum, block) => sum + block.seconds, 0) || 1;
  const gas = recent.reduce((sum, block) => sum + (block.gas ?? 0), 0);
  const transactions = recent.reduce((sum, block) => sum + (block.txs ?? 0), 0);
  const head = Math.max(-1, ...nodes.map((node) => node.head?.number ?? -1));
  const figures = [
    ["Head", head < 0 ? "–" : `#${count(head)}`],
    ["Final", head < 0 ? "–" : `#${count(tree.finalized)}`],
    ["Gas a second", amount(gas / time)],
    ["Transactions a second", amount(transactions / time)],
  ];
  keyed(
    byId("figures"),
    figures,
    ([name]) => name,
    ([name]) => el("div", {}, el("dt", { text: name }), el("dd", {})),
    (box, [, value]) => update(box.lastChild, { text: value }),
  );
}

function showEvents(events) {
  keyed(
    byId("events"),
    events.length ? events : [{ id: 0, text: "Nothing out of the ordinary since you look.", tone: "", ms: null }],
    (event) => event.id,
    (event) =>
      el(
        "li",
        { class: event.tone },
        event.ms ? el("time", { class: "muted", text: clock(event.ms) }) : null,
        el("span", { text: event.text }),
      ),
  );
}

