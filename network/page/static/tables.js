// Nodes, state roots and votes: tables whose rows stay in place from one snapshot to the next.

import { el, fill, keyed, update } from "./dom.js";
import { count, nodeClass, short } from "./format.js";

const DOTS_MAX = 10; // nodes that are shown as a dot each

/** A table inside `place` with a heading row; its body. Made once. */
function bodyOf(place, label, columns) {
  const key = JSON.stringify(columns);
  if (place.columnsShown !== key) {
    place.columnsShown = key;
    const heading = el("tr", {}, columns.map(([name, kind, hint]) => el("th", { scope: "col", class: kind, title: hint, text: name })));
    fill(place, el("table", { "aria-label": label }, el("thead", {}, heading), el("tbody")));
  }
  return place.querySelector("tbody");
}

/** What stands in a cell is somebody else's to keep up to date. */
const KEPT = Symbol("kept");

/** Bring the cells of a row up to date: each is text, or {text, class, title, href}. */
function cells(row, contents) {
  contents.forEach((content, index) => {
    const cell = row.children[index] ?? row.appendChild(el(index ? "td" : "th", index ? {} : { scope: "row" }));
    if (content === KEPT) return;
    const told = typeof content === "object" && content !== null ? content : { text: content ?? "–" };
    update(cell, { class: told.class ?? "", title: told.title ?? null });
    if (told.href) {
      if (!cell.firstElementChild) cell.replaceChildren(el("a")); // what stood there as text goes
      update(cell.firstElementChild, { text: told.text, href: told.href });
    } else {
      update(cell, { text: told.text });
    }
  });
}

const blockLink = (hash) => `#/block/${encodeURIComponent(hash)}`;

/** One row a node. */
export function showNodes(place, { nodes }, names) {
  const body = bodyOf(place, "Nodes", [
    ["Node"], ["State"], ["Head", "num"], ["Final", "num"], ["State root"], ["Peers", "num"], ["Pool", "num", "Transactions that wait"],
    ["Weight", "num", "Of its vote"], ["Answers in", "num", "Time to answer two questions over JSON-RPC"],
  ]);
  const highest = Math.max(...nodes.map((node) => node.head?.number ?? 0));
  keyed(body, nodes, (node) => node.name, () => el("tr"), (row, node) => {
    const behind = node.head ? highest - node.head.number : 0;
    cells(row, [
      { text: node.name, class: `node ${nodeClass(node.name, names)}`, title: node.url },
      KEPT,
      node.head ? { text: `#${count(node.head.number)}`, href: blockLink(node.head.hash), class: "num", title: behind ? `${behind} behind` : node.head.hash } : { text: "–", class: "num" },
      node.finalized ? { text: `#${count(node.finalized.number)}`, href: blockLink(node.finalized.hash), class: "num" } : { text: "–", class: "num" },
      { text: node.root ? short(node.root) : "–", class: "mono", title: node.root },
      { text: node.peers ? String(node.peers.length) : "–", class: "num", title: node.peers?.join(", ") },
      { text: node.pool ? count((node.pool.pending ?? 0) + (node.pool.queued ?? 0)) : "–", class: "num" },
      { text: String(node.weight), class: "num" },
      { text: node.answer_ms === undefined ? "–" : `${node.answer_ms.toFixed(1)} ms`, class: "num" },
    ]);
    keyed(
      row.children[1],
      chipsOf(node, behind),
      ([text]) => text,
      ([text, tone, title]) => el("span", { class: `chip ${tone}`, text, title }),
    );
  });
}

function chipsOf(node, behind) {
  const tones = { running: "good", paused: "warn", stopped: "bad", "not answering": "bad" };
  const chips = [[node.state, tones[node.state] ?? ""]];
  if (node.state === "running" && node.health && node.health !== "ok") chips.push(["not well", "warn", node.health]);
  if (behind > 2) chips.push([`${count(behind)} behind`, "warn"]);
  if (node.role !== "validator") chips.push([node.role, ""]);
  else if (node.head && node.convicted) chips.push(["convicted", "bad", "Its key has contradicted itself and lost its vote"]);
  if (node.lies) chips.push(["lies", "bad", node.faults.join(", ")]);
  else if (node.faults.length && node.state === "running") chips.push(["fault", "warn", node.faults.join(", ")]);
  return chips;
}

/** A row for each of the last heights, a column for each node; what most say is plain, the rest is red. */
export function showRoots(place, { roots, nodes }, names) {
  const answering = nodes.filter((node) => node.head).map((node) => node.name);
  const body = bodyOf(place, "State roots by height and node", [["Height"], ...answering.map((name) => [name, `node ${nodeClass(name, names)}`])]);
  keyed(body, roots, (row) => row.number, () => el("tr"), (row, line) => {
    const votes = new Map();
    for (const root of Object.values(line.roots)) votes.set(root, (votes.get(root) ?? 0) + 1);
    const most = [...votes].sort((one, other) => other[1] - one[1])[0];
    const tie = [...votes.values()].filter((number) => number === most?.[1]).length > 1;
    update(row, { class: line.agree ? "" : "differs" });
    cells(row, [
      { text: `#${count(line.number)}`, class: "num" },
      ...answering.map((name) => {
        const root = line.roots[name];
        const wrong = root && !line.agree && (tie || root !== most[0]);
        return { text: root ? short(root, 3, 3).slice(2) : "–", class: `mono${wrong ? " wrong" : ""}`, title: root ?? `${name} does not have this block` };
      }),
    ]);
  });
}

/** Who has voted for what, and which nodes know it. */
export function showVotes(place, note, { votes, nodes }, names) {
  const answering = nodes.filter((node) => node.head).map((node) => node.name);
  if (votes.engine === "instant") {
    update(note, { text: "" });
    fill(place, el("p", { class: "muted", text: "One node decides alone: there is nothing to vote on." }));
    place.columnsShown = "";
    return;
  }
  const pos = votes.engine === "pos";
  update(note, { text: pos ? posWords(votes) : bftWords(votes) });
  const seenTitle = "Which nodes know this vote";
  const body = bodyOf(place, "Votes", pos
    ? [["Voter"], ["Slot", "num"], ["For block"], ["Epoch", "num"], ["Known by", "", seenTitle]]
    : [["Voter"], ["Prevote"], ["Known by", "", seenTitle], ["Precommit"], ["Known by", "", seenTitle]]);
  // two blocks of one chain do not contradict each other; two targets of one epoch, or two blocks of one round, do
  const newest = Math.max(...votes.rows.map((row) => row.target ?? -1));
  const favourite = mostOf(votes.rows.map((row) => (pos ? row.target === newest && row.target_root : (row.precommits ?? row.prevotes)?.block)));
  keyed(body, votes.rows, (row) => row.node, () => el("tr"), (line, row) => {
    const voter = { text: row.node, class: `node ${nodeClass(row.node, names)}` };
    const differs = (hash) => (pos ? row.target === newest && row.target_root !== favourite : hash !== favourite);
    const target = (hash) => hash ? { text: short(hash, 4, 4), href: blockLink(hash), class: differs(hash) ? "mono other" : "mono", title: hash } : { text: hash === null ? "nil" : "–", class: "muted" };
    if (pos) {
      cells(line, [voter, { text: row.slot === null ? "–" : count(row.slot), class: "num" }, row.head ? target(row.head) : { text: "–", class: "muted" }, { text: row.target ?? "–", class: "num" }, KEPT]);
      seen(line.children[4], row.seen_by, answering, names);
    } else {
      cells(line, [voter, target(row.prevotes?.block), KEPT, target(row.precommits?.block), KEPT]);
      seen(line.children[2], row.prevotes?.seen_by ?? [], answering, names);
      seen(line.children[4], row.precommits?.seen_by ?? [], answering, names);
    }
  });
}

function mostOf(values) {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1])[0]?.[0];
}

function seen(cell, who, answering, names) {
  update(cell, { class: "seen", title: who.length ? who.join(", ") : "nobody" });
  if (answering.length > DOTS_MAX) {
    update(cell, { text: `${who.length} of ${answering.length}` });
    return;
  }
  keyed(
    cell,
    answering,
    (name) => name,
    (name) => el("i", { class: `dot ${nodeClass(name, names)}` }),
    (dot, name) => update(dot, { class: `dot ${nodeClass(name, names)}${who.includes(name) ? "" : " off"}` }),
  );
  update(cell, { "aria-label": `${who.length} of ${answering.length}` });
}

function posWords(votes) {
  if (votes.slot === undefined || votes.slot === null) return "";
  return `slot ${votes.slot} of epoch ${votes.epoch}, ${votes.proposer ?? "nobody"} proposes · justified epoch ${votes.justified_epoch ?? "–"}, final ${votes.finalized_epoch ?? "–"} · ${votes.quorum} of ${votes.total} needed`;
}

function bftWords(votes) {
  if (votes.height === undefined) return "";
  const what = votes.step === "waiting" ? "waits for its time" : votes.proposal ? `votes on ${short(votes.proposal, 4, 4)}` : "waits for a proposal";
  return `height ${votes.height}, round ${votes.round} ${what}, ${votes.proposer ?? "nobody"} proposes · ${votes.quorum} of ${votes.total} needed`;
}
