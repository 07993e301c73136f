// The page: one stream of snapshots into the cluster's view, hash routes into the explorer's.

import { announce, update } from "./dom.js";
import { showNetwork, showSnapshot } from "./overview.js";
import { subscribe } from "./stream.js";

const cluster = document.getElementById("cluster");
const explorer = document.getElementById("explorer");
const offline = document.getElementById("offline");
const main = document.getElementById("content");
const VIEWS = { "": "Cluster", blocks: "Blocks", block: "Block", tx: "Transaction", address: "Account", search: "Search" };

let explorerModule = null; // loaded when somebody explores
let newest = null;
let drawing = false;

/** Draw the newest snapshot, at most once a frame, and only what can be seen. */
function draw() {
  drawing = false;
  if (!newest) return;
  showNetwork(newest);
  if (cluster.hidden) explorerModule?.noteHead(Math.max(-1, ...newest.nodes.map((node) => node.head?.number ?? -1)));
  else showSnapshot(newest);
}

subscribe((snapshot) => {
  if (!snapshot) {
    if (offline.hidden) announce("The page has lost its connection to the network.");
    offline.hidden = false;
    update(offline, { text: "No connection to the network: it has stopped, or is being stopped. What is shown is old." });
    return;
  }
  offline.hidden = true;
  newest = snapshot;
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(draw);
  }
});

/** The parts of #/block/12 after the first slash. */
function route() {
  return location.hash.replace(/^#\/?/, "").split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

let routed = false;
async function show() {
  const wanted = location.hash;
  const parts = route();
  const view = parts[0] in VIEWS ? parts[0] : "";
  const isCluster = view === "";
  cluster.hidden = !isCluster;
  explorer.hidden = isCluster;
  for (const link of document.querySelectorAll(".top nav a")) {
    update(link, { "aria-current": (link.dataset.view === "cluster") === isCluster ? "page" : null });
  }
  document.title = isCluster ? "evmesh" : `${VIEWS[view]} ${(parts[1] ?? "").slice(0, 18)} · evmesh`;
  if (isCluster) draw();
  if (routed) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  routed = true;
  if (!isCluster) {
    explorerModule ??= await import("./explorer.js");
    if (location.hash === wanted) explorerModule.showExplorer(explorer, parts);
  }
}

document.getElementById("skip").addEventListener("click", () => main.focus());
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.getElementById("search-text").value.trim();
  if (text) location.hash = `#/search/${encodeURIComponent(text)}`;
});
window.addEventListener("hashchange", show);
show();
