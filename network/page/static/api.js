// Questions and deeds: JSON over HTTP, to the page's own server only.

const token = document.querySelector('meta[name="evmesh-token"]').content;

/** What the server refused or could not do. `hint`: the next step. */
export class Refused extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint ?? "";
  }
}

async function told(response) {
  let content;
  try {
    content = await response.json();
  } catch {
    throw new Refused(`The page's server answered with ${response.status}.`);
  }
  if (!response.ok || content.error) throw new Refused(content.error ?? "refused", content.hint);
  return content;
}

/** Ask the explorer. */
export async function ask(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  return reached(() => fetch(`/api/explore/${path}${given.length ? "?" + new URLSearchParams(given) : ""}`));
}

/** Have something done: a fault, its end, an artifact remembered. */
export async function post(path, content) {
  const headers = { "Content-Type": "application/json", "X-Evmesh-Token": token };
  return reached(() => fetch(path, { method: "POST", headers, body: JSON.stringify(content) }));
}

async function reached(request) {
  let response;
  try {
    response = await request();
  } catch {
    throw new Refused("The page's server does not answer.", "Has the network been stopped?");
  }
  return told(response);
}
