// Numbers, hashes and times as people read them.

/** 0x1234…abcd */
export function short(hash, head = 6, tail = 4) {
  const text = String(hash ?? "");
  return text.length > head + tail + 3 ? `${text.slice(0, 2 + head)}…${text.slice(-tail)}` : text;
}

/** 12,345,678 in figures that do not jump. */
export function count(number) {
  return Number(number).toLocaleString("en-US");
}

/** 25.6 M, 742 k */
export function amount(number) {
  const value = Math.abs(number);
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (value >= size) return (number / size).toFixed(value / size < 10 ? 2 : value / size < 100 ? 1 : 0) + unit;
  }
  return value >= 100 || Number.isInteger(number) ? String(Math.round(number)) : number.toFixed(1);
}

/** A span of time: 0.9 s, 12 s, 3 min. */
export function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return value < 172800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86400)} d`;
}

/** 14:02:11 */
export function clock(milliseconds) {
  return new Date(milliseconds).toLocaleTimeString("en-GB");
}

/** Date and time of a block. */
export function moment(unixSeconds) {
  const date = new Date(unixSeconds * 1000);
  return `${date.toLocaleDateString("en-CA")} ${date.toLocaleTimeString("en-GB")}`;
}

/** Wei (decimal text) as ether, exactly. */
export function ether(wei) {
  const digits = String(wei).padStart(19, "0");
  const whole = digits.slice(0, -18).replace(/\B(?=(\d{3})+$)/g, ",");
  const part = digits.slice(-18).replace(/0+$/, "");
  return `${whole}${part ? "." + part : ""} ETH`;
}

/** Wei as gwei. */
export function gwei(wei) {
  const value = Number(wei) / 1e9;
  return `${value >= 0.01 || value === 0 ? +value.toFixed(3) : value.toExponential(2)} gwei`;
}

/** 1 block, 2 blocks */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** The class that gives a node its colour. */
export function nodeClass(name, names) {
  const place = names.indexOf(name);
  return place < 0 ? "" : `node-${place % 8}`;
}
