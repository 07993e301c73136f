// The one stream of snapshots. Loaded first and by itself, so that the first one comes while the rest is still loading.

const RETRY_MS = 1500;

let source = null;
let newest = null;
let listener = () => {};

/** Have `hears(snapshot)` called with each snapshot, the newest at once; with null while there is no connection. */
export function subscribe(hears) {
  listener = hears;
  if (newest) listener(newest);
}

function listen() {
  source = new EventSource("/api/stream");
  source.onmessage = (event) => {
    newest = JSON.parse(event.data);
    listener(newest);
  };
  source.onerror = () => {
    listener(null);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS); // else the browser tries by itself
  };
}

// a page in a tab that nobody sees need not be drawn, nor the nodes be asked for it
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source.close();
  else if (source.readyState === EventSource.CLOSED) listen();
});
listen();
