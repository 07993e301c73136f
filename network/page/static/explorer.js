// The explorer: lists and pages by hash routes. What a node says is fetched, decoded by the server, shown as text.

import { ask } from "./api.js";
import { el, fill, update } from "./dom.js";
import { showAccount, showBlock, showTransaction } from "./details.js";
import { amount, count, moment, seconds, short } from "./format.js";

const PER_PAGE = 25;
let asked = 0; // answers of older questions are dropped
let node = ""; // which node is asked; empty: the first that runs

let fresh = null; // the button that shows newer blocks, and the head that is shown

/** The network's head has moved: a list that begins with the newest blocks says so, and stays as it is. */
export function noteHead(head) {
  if (!fresh?.button.isConnected) return;
  const more = head - fresh.head;
  update(fresh.button, { text: more === 1 ? "1 newer block" : `${count(more)} newer blocks`, hidden: more <= 0 });
}

/** Show what a route names. */
export async function showExplorer(place, parts) {
  const [view, which = "", more = ""] = parts;
  const mine = ++asked;
  place.setAttribute("aria-busy", "true");
  if (!place.firstChild) fill(place, el("p", { class: "card muted", text: "Asking a node …" }));
  try {
    const content = await contentOf();
    if (mine === asked && content) fill(place, content);
  } catch (refused) {
    if (mine === asked) fill(place, problem(view, which, refused));
  } finally {
    if (mine === asked) place.removeAttribute("aria-busy");
  }
  /** Ask again, for example another node, or with an artifact that came meanwhile. */
  function again() {
    showExplorer(place, parts);
  }
  async function contentOf() {
    const path = (name) => `${name}/${encodeURIComponent(which)}`;
    switch (view) {
      case "blocks": {
        const found = await ask("blocks", { before: which, count: PER_PAGE, node });
        const bar = nodeBar("Blocks", found, again);
        if (!which) {
          fresh = { head: found.head, button: el("button", { type: "button", hidden: true, on: { click: again } }) };
          bar.insertBefore(fresh.button, bar.lastChild);
        }
        return [bar, listOf(found)];
      }
      case "block": {
        const found = await ask(path("block"), { node });
        return [nodeBar(`Block #${count(found.row.number)}`, found, again), ...showBlock(found)];
      }
      case "tx": {
        const found = await ask(path("tx"), { node });
        return [nodeBar("Transaction", found, again), ...showTransaction(found)];
      }
      case "address": {
        const found = await ask(path("address"), { node, keys: more });
        return [nodeBar(found.contract?.name ?? (found.code_bytes ? "Contract" : "Account"), found, again), ...showAccount(found, more, again)];
      }
      case "search": {
        const found = await ask(path("search"));
        location.replace(found.route);
        return null;
      }
      default:
        location.replace("#/");
        return null;
    }
  }
}

/** Title, and which node is asked. */
function nodeBar(title, found, again) {
  const choice = el("select", { "aria-label": "Node that is asked" }, found.nodes.map((name) => el("option", { value: name, text: name, selected: name === found.node })));
  choice.addEventListener("change", () => {
    node = choice.value;
    again();
  });
  return el("div", { class: "bar" }, el("h1", { text: title }), el("label", {}, "as", choice, "has it"));
}

function problem(view, which, refused) {
  return el(
    "section",
    { class: "card" },
    el("h1", { text: "Not found" }),
    el("p", { class: "mono", text: which ? `${view} ${which}` : view }),
    el("p", { text: refused.message }),
    refused.hint ? el("p", { class: "muted", text: refused.hint }) : null,
    el("p", {}, el("a", { href: "#/blocks", text: "All blocks" })),
  );
}

function listOf({ blocks, head, first }) {
  const newest = blocks[0]?.number ?? 0;
  const rows = blocks.map((block, index) => {
    const older = blocks[index + 1];
    return el(
      "tr",
      {},
      el("th", { scope: "row", class: "num" }, el("a", { href: `#/block/${block.number}`, text: `#${count(block.number)}` })),
      el("td", { class: "mono" }, el("a", { href: `#/block/${block.hash}`, text: short(block.hash, 8, 6), title: block.hash })),
      el("td", { class: "num", text: moment(block.timestamp) }),
      el("td", { class: "num", text: older ? seconds(block.timestamp - older.timestamp) : "" }),
      el("td", { class: "num", text: count(block.transactions) }),
      el("td", { class: "num", text: amount(block.gas_used) }),
      el("td", {}, el("meter", { min: 0, max: block.gas_limit, value: block.gas_used, "aria-label": `${Math.round((100 * block.gas_used) / block.gas_limit)}% of the gas limit` })),
      el("td", {}, el("span", { class: block.final ? "chip good" : "chip", text: block.final ? "final" : "not final" })),
    );
  });
  const columns = [["Block", "num"], ["Hash"], ["Time", "num"], ["After", "num"], ["Transactions", "num"], ["Gas", "num"], ["Of the limit"], ["State"]];
  return el(
    "section",
    { class: "card" },
    el("div", { class: "scroll" }, el("table", { class: "list" }, el("thead", {}, el("tr", {}, columns.map(([text, kind]) => el("th", { scope: "col", class: kind, text })))), el("tbody", {}, rows))),
    el(
      "p",
      { class: "pager" },
      newest < head ? el("a", { href: newest + 1 + PER_PAGE > head ? "#/blocks" : `#/blocks/${newest + 1 + PER_PAGE}`, text: "← newer" }) : null,
      newest < head ? el("a", { href: "#/blocks", text: "newest" }) : null,
      first > 0 ? el("a", { href: `#/blocks/${first}`, text: "older →" }) : null,
    ),
  );
}
