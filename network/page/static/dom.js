// Elements made of text only: nothing that a node, a contract or a transaction says ever becomes markup.
// (The server asks for trusted types, so a slip would be an exception, not a hole.)

const SVG = "http://www.w3.org/2000/svg";

/** An element. `properties`: class, text, on (listeners), any attribute; false and null leave one away. */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same in SVG. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  for (const child of children.flat(2)) if (child !== null && child !== undefined) element.append(child);
  return element;
}

function set(element, name, value) {
  if (name === "text") {
    if (element.textContent !== String(value)) element.textContent = value;
  } else if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (value === false || value === null || value === undefined) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

/** Change some properties of an element that stays. */
export function update(element, properties) {
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  return element;
}

/**
 * Keep one child for each item: those that are known stay (focus and selection with them), new ones are made, others go.
 * `key(item)` names it, `make(item)` makes its element, `change(element, item)` brings it up to date.
 */
export function keyed(parent, items, key, make, change) {
  const known = (parent.keyedChildren ??= new Map());
  const wanted = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    let element = known.get(name);
    if (!element) {
      element = make(item);
      known.set(name, element);
    }
    change?.(element, item);
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
  for (const [name, element] of known) {
    if (!wanted.has(name)) {
      element.remove();
      known.delete(name);
    }
  }
}

/** Replace what an element holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** Something changed that a screen reader should say. */
export function announce(text) {
  const place = document.getElementById("announce");
  if (place.textContent !== text) place.textContent = text;
}
