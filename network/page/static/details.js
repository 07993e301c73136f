// One block, one transaction, one account: everything the explorer knows of it.

import { post } from "./api.js";
import { el } from "./dom.js";
import { count, ether, gwei, moment, plural, short } from "./format.js";

const number = (hex) => (hex === undefined || hex === null ? null : BigInt(hex));
const decimal = (hex) => (hex === undefined || hex === null ? "–" : BigInt(hex).toLocaleString("en-US"));
const blockLink = (which, text) => el("a", { href: `#/block/${encodeURIComponent(which)}`, text });

function accountLink(address, name) {
  if (!address) return el("span", { class: "muted", text: "none" });
  return el("a", { class: name ? "" : "mono", href: `#/address/${encodeURIComponent(address)}`, title: address, text: name ?? short(address) });
}

const whole = (text) => el("span", { class: "mono whole", text });
const chip = (text, tone = "") => el("span", { class: `chip ${tone}`, text });

function card(title, ...content) {
  return el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", { text: title })), content);
}

/** Names and values, one below the other. */
function facts(rows) {
  return el("dl", { class: "facts" }, rows.filter((row) => row && row[1] !== null && row[1] !== undefined).map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", {}, value))));
}

function table(columns, rows) {
  return el(
    "div",
    { class: "scroll" },
    el("table", { class: "list" }, el("thead", {}, el("tr", {}, columns.map(([text, kind]) => el("th", { scope: "col", class: kind ?? "", text })))), el("tbody", {}, rows)),
  );
}

/** Transactions in a table. */
function transactions(list, withBlock) {
  const rows = list.map((one) =>
    el(
      "tr",
      {},
      el("td", { class: "mono" }, el("a", { href: `#/tx/${one.hash}`, text: short(one.hash), title: one.hash })),
      withBlock ? el("td", { class: "num" }, blockLink(one.block, `#${count(one.block)}`)) : null,
      el("td", {}, accountLink(one.from)),
      el("td", {}, accountLink(one.to ?? one.created, one.to_name)),
      el("td", { class: "call" }, el("bdi", { text: one.call })),
      el("td", { class: "num", text: one.value === "0" ? "" : ether(one.value) }),
      el("td", { class: "num", text: one.gas_used === null ? "" : count(one.gas_used) }),
      el("td", {}, one.ok === null ? chip("waits") : one.ok ? chip("ok", "good") : chip("failed", "bad")),
    ),
  );
  const columns = [["Transaction"], ...(withBlock ? [["Block", "num"]] : []), ["From"], ["To"], ["Call"], ["Value", "num"], ["Gas", "num"], ["State"]];
  return list.length ? table(columns, rows) : el("p", { class: "muted", text: "None." });
}

/** A block. */
export function showBlock({ block, row, head, held_by: heldBy, transactions: list, left_out: leftOut, withdrawals }) {
  const holders = Object.entries(heldBy);
  const names = (what) => holders.filter(([, has]) => has === what).map(([name]) => name);
  const lost = names("this").length === 0;
  const held = el(
    "span",
    {},
    names("this").length ? chip(`in the chain of ${names("this").join(", ")}`, "good") : chip("in no node's chain: its branch has lost", "bad"),
    names("another").length ? chip(`${names("another").join(", ")}: another block`, "warn") : null,
    names("none").length ? chip(`${names("none").join(", ")}: none yet`) : null,
  );
  return [
    el(
      "p",
      { class: "pager" },
      row.number > 0 ? blockLink(block.parentHash, "← parent") : null,
      row.number < head && !lost ? blockLink(row.number + 1, "next →") : null,
    ),
    card(
      "Block",
      facts([
        ["State", el("span", {}, row.final && !lost ? chip("final", "good") : lost ? chip("lost", "bad") : chip("not final"), " ", held)],
        ["Hash", whole(block.hash)],
        ["Parent", blockLink(block.parentHash, short(block.parentHash, 16, 8))],
        ["Time", moment(row.timestamp)],
        ["State root", whole(block.stateRoot)],
        ["Fee recipient", accountLink(row.miner)],
        ["Gas", `${count(row.gas_used)} of ${count(row.gas_limit)} (${((100 * row.gas_used) / row.gas_limit).toFixed(1)}%)`],
        ["Base fee", gwei(row.base_fee)],
        block.blobGasUsed && number(block.blobGasUsed) ? ["Blob gas", decimal(block.blobGasUsed)] : null,
        withdrawals ? ["Withdrawals", count(withdrawals)] : null,
        ["Size", `${decimal(block.size)} bytes`],
        ["Transactions root", whole(block.transactionsRoot)],
        ["Receipts root", whole(block.receiptsRoot)],
      ]),
    ),
    card(plural(row.transactions, "transaction"), transactions(list, false), leftOut ? el("p", { class: "muted", text: `${count(leftOut)} more are not listed.` }) : null),
  ];
}

/** Arguments or results, named and typed. */
function values(list) {
  return el("ul", { class: "values" }, list.map((one, index) => el("li", {}, el("span", { class: "muted", text: `${one.name || index} ` }), valueOf(one), el("span", { class: "type", text: ` ${one.type}` }))));
}

function valueOf(one) {
  return one.type === "address" ? el("a", { class: "mono whole", href: `#/address/${encodeURIComponent(one.value)}`, text: one.value }) : el("bdi", { class: "mono whole", text: one.value });
}

/** name(a=1, b=2) in one line. */
function line(call) {
  const inside = call.arguments.map((one) => `${one.name ? one.name + "=" : ""}${one.value.length > 60 ? one.value.slice(0, 57) + "…" : one.value}`);
  return `${call.name}(${inside.join(", ")})`;
}

function bytesShown({ hex, bytes }) {
  if (!bytes) return el("span", { class: "muted", text: "nothing" });
  const cut = (hex.length - 2) / 2 < bytes;
  return el("details", {}, el("summary", { text: `${count(bytes)} bytes` }), el("code", { class: "data", text: hex + (cut ? "…" : "") }));
}

const guess = (what) => (what.guess ? chip("guessed by its selector", "warn") : null);

/** A transaction. */
export function showTransaction({ brief, transaction, receipt, final, to_contract: contract, call, input, logs, logs_left_out: logsLeftOut, calls, calls_left_out: callsLeftOut, calls_problem: problem, access_list: accessList }) {
  const failed = receipt?.status === "0x0";
  const why = failed ? calls?.[0]?.reason : null;
  const types = { "0x0": "legacy", "0x1": "access list (EIP-2930)", "0x2": "EIP-1559", "0x3": "blobs (EIP-4844)", "0x4": "set code (EIP-7702)" };
  return [
    card(
      "Overview",
      facts([
        ["State", el("span", {}, !receipt ? chip("waits in the pool", "warn") : failed ? chip("failed", "bad") : chip("ok", "good"), " ", receipt ? chip(final ? "final" : "not final", final ? "good" : "") : null)],
        why ? ["Why it failed", el("bdi", { class: "bad-text", text: why })] : null,
        ["Hash", whole(transaction.hash)],
        receipt ? ["Block", blockLink(transaction.blockHash, `#${decimal(receipt.blockNumber)}, place ${decimal(receipt.transactionIndex)}`)] : null,
        ["From", accountLink(brief.from)],
        brief.to ? ["To", el("span", {}, accountLink(brief.to, contract?.name), contract ? el("span", { class: "muted", text: ` known by: ${contract.origin}` }) : null)] : ["Creates", accountLink(brief.created, brief.to_name)],
        ["Value", ether(brief.value)],
        ["Nonce", decimal(transaction.nonce)],
        ["Kind", types[transaction.type] ?? transaction.type],
        receipt ? ["Gas", `${decimal(receipt.gasUsed)} of ${decimal(transaction.gas)}`] : ["Gas limit", decimal(transaction.gas)],
        receipt ? ["Gas price", gwei(number(receipt.effectiveGasPrice))] : null,
        receipt ? ["Fee", ether(number(receipt.effectiveGasPrice) * number(receipt.gasUsed))] : null,
        accessList ? ["Access list", `${count(accessList)} addresses`] : null,
      ]),
    ),
    card("Call", call ? el("div", {}, el("p", { class: "mono" }, el("bdi", { text: call.signature }), " ", guess(call)), values(call.arguments)) : null, facts([[brief.to ? "Input" : "Creation code", bytesShown(input)]])),
    receipt ? card("Call tree", calls ? tree(calls) : el("p", { class: "muted", text: problem ?? "no trace" }), callsLeftOut ? el("p", { class: "muted", text: `${count(callsLeftOut)} more calls are not shown.` }) : null) : null,
    receipt ? card(plural(logs.length + (logsLeftOut || 0), "log"), logs.length ? el("ol", { class: "logs" }, logs.map(logShown)) : el("p", { class: "muted", text: "None." })) : null,
  ];
}

function tree(calls) {
  return el(
    "ol",
    { class: "calls" },
    calls.map((one) => {
      const what = one.call ? line(one.call) : one.kind.startsWith("CREATE") ? "creates a contract" : one.input.bytes ? `${one.input.hex.slice(0, 10)}…` : "plain transfer";
      const item = el(
        "li",
        { class: one.error ? "failed" : "" },
        chip(one.kind, one.error ? "bad" : "info"),
        " ",
        accountLink(one.to, one.contract),
        el("bdi", { class: "mono what", text: ` ${what}` }),
        one.value !== "0" ? el("span", { text: ` ${ether(one.value)}` }) : null,
        el("span", { class: "muted num", text: ` ${count(one.gas_used)} gas` }),
        one.call?.results?.length ? el("bdi", { class: "mono result", text: ` → ${one.call.results.map((value) => value.value).join(", ")}` }) : null,
        one.reason ? el("bdi", { class: "bad-text", text: ` ${one.reason}` }) : null,
      );
      item.style.marginLeft = `${Math.min(one.depth, 12) * 1.15}rem`;
      item.setAttribute("aria-level", one.depth + 1);
      return item;
    }),
  );
}

function logShown(log) {
  const event = log.event;
  return el(
    "li",
    {},
    el("p", {}, accountLink(log.address, log.contract), " ", event ? el("strong", {}, el("bdi", { text: event.name })) : el("span", { class: "muted", text: "unknown event" }), " ", event ? guess(event) : null),
    event ? values(event.arguments) : facts([...log.topics.map((topic, index) => [`Topic ${index}`, whole(topic)]), ["Data", bytesShown(log.data)]]),
  );
}

/** An account. */
export function showAccount(found, keys, again) {
  const { contract, storage, getters } = found;
  return [
    card(
      "Overview",
      facts([
        ["Address", whole(found.address)],
        found.labels.length ? ["Known as", el("span", {}, found.labels.map((label) => chip(label, "info")))] : null,
        ["Balance", ether(found.balance)],
        ["Nonce", count(found.nonce)],
        found.code_bytes ? ["Code", `${count(found.code_bytes)} bytes`] : null,
        found.code_hash ? ["Code hash", whole(found.code_hash)] : null,
        found.delegates_to ? ["Delegates to", accountLink(found.delegates_to)] : null,
        contract ? ["Contract", el("span", {}, el("bdi", { text: contract.name }), el("span", { class: "muted", text: ` known by: ${contract.origin}` }))] : null,
      ]),
    ),
    getters.length ? card("What it says of itself", facts(getters.map((getter) => [getter.name, el("span", {}, getter.values.map(valueOf))]))) : null,
    storage ? storageCard(found, storage, keys) : null,
    found.code_bytes ? artifactCard(found, again) : null,
    card("Last transactions", transactions(found.transactions, true), el("p", { class: "muted", text: `In the last ${count(found.scanned)} blocks up to #${count(found.head)}.` })),
  ];
}

function storageCard(found, storage, keys) {
  const rows = storage.rows.map((row) =>
    el("tr", {}, el("th", { scope: "row", class: "mono name" }, el("bdi", { text: row.name })), el("td", { class: "mono" }, el("bdi", { class: "whole", text: row.value })), el("td", { class: "muted" }, el("bdi", { text: row.type })), el("td", { class: "mono muted slot", title: row.slot, text: short(row.slot, 4, 4) })),
  );
  const text = el("input", { type: "text", value: keys, placeholder: "0x…, 7", maxlength: 400, "aria-label": "Keys of mappings to look up", spellcheck: "false" });
  const form = el("form", { class: "row" }, el("label", {}, "Keys to look up in mappings", text), el("button", { type: "submit", text: "Look up" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `#/address/${encodeURIComponent(found.address)}/${encodeURIComponent(text.value.replace(/\s+/g, ""))}`;
  });
  return card(
    "Storage by variable",
    table([["Variable"], ["Value"], ["Type"], ["Slot"]], rows),
    storage.complete ? null : el("p", { class: "muted", text: "There is more; so much is read at a time." }),
    el("p", { class: "muted", text: `Mappings do not tell their keys: ${storage.keys} were tried, from the contract's last events and the funded accounts.` }),
    form,
  );
}

function artifactCard(found, again) {
  const outcome = el("p", { class: "outcome", role: "status" });
  const file = el("input", { type: "file", accept: "application/json,.json", "aria-label": "Artifact file" });
  file.addEventListener("change", async () => {
    try {
      const artifact = JSON.parse(await file.files[0].text());
      const done = await post("/api/artifact", { address: found.address, artifact });
      outcome.textContent = `Known as ${done.name} from now on${done.layout ? "" : "; the file has no storageLayout, so its storage stays as it is"}.`;
      setTimeout(again, 600);
    } catch (refused) {
      outcome.textContent = refused instanceof SyntaxError ? "This file is not JSON." : [refused.message, refused.hint].filter(Boolean).join(". ");
    }
  });
  return card(found.contract ? "Another artifact" : "Decode it", el("div", { class: "row" }, el("label", {}, "The contract's JSON from Foundry, Hardhat or solc; with storageLayout its variables are shown, too", file)), outcome);
}

