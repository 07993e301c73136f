// Four small charts of the last blocks and looks: bars and lines in SVG, drawn anew in place.

import { el, keyed, svg, update } from "./dom.js";
import { amount, count, nodeClass, seconds } from "./format.js";

const WIDTH = 300;
const HEIGHT = 84;
const POINTS = 60;

let charts = null;

/** Bring all charts up to date. */
export function drawCharts(place, { charts: data, network, nodes }, names) {
  charts ??= start(place, network.engine);
  const blocks = data.blocks;
  const rates = blocks.map((block) => (block.gas ?? 0) / block.seconds);
  bars(charts.gas, rates, amount, blocks.map((block, index) => `#${count(block.number)}: ${amount(rates[index])} gas/s, ${count(block.txs)} transactions, ${seconds(block.seconds)}`));
  const pos = network.engine === "pos";
  const times = blocks.map((block) => (pos ? block.final_after : block.seconds));
  bars(charts.time, times, seconds, blocks.map((block, index) => `#${count(block.number)}: ${times[index] === null ? "not measured" : seconds(times[index])}`));
  lines(charts.answers, names.map((name) => ({ key: name, kind: nodeClass(name, names), values: data.answers[name] ?? [] })), (value) => `${value.toFixed(1)} ms`);
  lines(charts.pool, [{ key: "pool", kind: "plain", values: data.pool }], count);
  update(charts.answers.value, { text: median(nodes.map((node) => node.answer_ms), (value) => `${value.toFixed(1)} ms`) });
}

function start(place, engine) {
  const chart = (title, hint) => {
    const value = el("strong", { class: "num" });
    const drawing = svg("g");
    const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, preserveAspectRatio: "none" }, drawing);
    place.append(
      el("section", { class: "card chart", "aria-label": title }, el("div", { class: "card-head" }, el("h2", { text: title, title: hint }), value), el("div", { class: "plot" }, root, el("span", { class: "axis muted num" }))),
    );
    return { value, drawing, root, top: place.lastChild.querySelector(".axis") };
  };
  return {
    gas: chart("Gas a second", "Of each of the last blocks"),
    time: engine === "pos" ? chart("Time to finality", "From when a block was first seen until all nodes that answer hold it as final") : chart("Time between blocks", "Of the last blocks"),
    answers: chart("Answers of the nodes", "How long each node takes to answer two questions"),
    pool: chart("Waiting transactions", "In the fullest pool"),
  };
}

function scaleOf(values) {
  const most = Math.max(0, ...values);
  if (most <= 0) return 1;
  const step = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * step).find((bound) => bound >= most) ?? most;
}

function bars(chart, values, show, titles) {
  const scale = scaleOf(values.filter((value) => value !== null));
  const step = WIDTH / POINTS;
  keyed(
    chart.drawing,
    values.map((value, index) => ({ value, index })),
    (bar) => bar.index,
    () => svg("rect", { class: "column", width: step - 1.2, rx: 1 }, svg("title")),
    (bar, { value, index }) => {
      const height = value === null ? 0 : Math.max(value > 0 ? 1.5 : 0, (value / scale) * (HEIGHT - 6));
      update(bar, { x: ((POINTS - values.length + index) * step).toFixed(1), y: (HEIGHT - height).toFixed(1), height: height.toFixed(1) });
      update(bar.firstChild, { text: titles[index] });
    },
  );
  const known = values.filter((value) => value !== null);
  update(chart.value, { text: known.length ? show(known.at(-1)) : "–" });
  update(chart.top, { text: known.some((value) => value > 0) ? show(scale) : "" });
  update(chart.root, { "aria-label": known.length ? `newest ${show(known.at(-1))}, at most ${show(Math.max(...known))}` : "nothing measured yet" });
}

function lines(chart, series, show) {
  const scale = scaleOf(series.flatMap((one) => one.values.filter((value) => value !== null)));
  const step = WIDTH / (POINTS - 1);
  keyed(
    chart.drawing,
    series,
    (one) => one.key,
    () => svg("path", { class: "line" }),
    (line, { values, kind }) => {
      let path = "";
      let drawn = false;
      values.forEach((value, index) => {
        if (value === null) {
          drawn = false;
          return;
        }
        const x = (POINTS - values.length + index) * step;
        path += `${drawn ? "L" : "M"}${x.toFixed(1)} ${(HEIGHT - 2 - (value / scale) * (HEIGHT - 8)).toFixed(1)}`;
        drawn = true;
      });
      update(line, { d: path, class: `line ${kind}` });
    },
  );
  const newest = series.map((one) => one.values.at(-1)).filter((value) => value !== null && value !== undefined);
  update(chart.value, { text: newest.length ? show(Math.max(...newest)) : "–" });
  update(chart.top, { text: series.some((one) => one.values.some((value) => value > 0)) ? show(scale) : "" });
}

function median(values, show) {
  const known = values.filter((value) => value !== undefined).sort((one, other) => one - other);
  return known.length ? show(known[Math.floor(known.length / 2)]) : "–";
}
