// One photograph, one or two models, everything else by eye. Who answers is `backend`: server.js
// or local.js.

const find = (id) => document.getElementById(id);
const [first, second, file, view, photograph, overlay, handle, tip, cursor] = [
  "first", "second", "file", "view", "photograph", "overlay", "handle", "tip", "cursor",
].map(find);
const painted = [find("painted-first"), find("painted-second")];

const state = {
  models: [], image: null, answers: [], hidden: new Set(["background"]), split: 0.5, place: null, request: 0,
};

// ---- What happens -----------------------------------------------------------------------------

function say(text, isBad = false) {
  find("status").textContent = text;
  find("status").classList.toggle("is-bad", isBad);
}

async function listModels() {
  try {
    state.models = await backend.list(say);
  } catch (error) {
    find("access").hidden = error.status !== 401;
    if (error.status !== 401 || backend.token) say(error.message, true);
    return;
  }
  find("access").hidden = true;
  say("");
  for (const model of state.models) {
    first.add(new Option(model.name));
    second.add(new Option(model.name));
  }
  find("compare").hidden = state.models.length < 2;
}

async function show(blob) {
  const old = state.image;
  state.image = blob;
  // What is seen stays, and so does what a download would send.
  if (!(await refresh(true)) && state.image === blob) state.image = old;
}

async function refresh(isNew = false) {
  if (!state.image || !first.value) return false;
  const request = ++state.request;
  const names = [first.value, second.value].filter(Boolean);
  say(`${names.join(" and ")}: working ...`);
  find("panel").setAttribute("aria-busy", "true");
  try {
    const answers = [];
    for (const name of names) answers.push(await backend.answer(name, state.image));
    const picture = isNew ? await decode() : null;
    if (request !== state.request) return true; // a newer photograph or model was chosen meanwhile
    state.answers = answers;
    if (picture) place(picture);
    draw();
    say("");
    return true;
  } catch (error) {
    if (request === state.request) say(error.message, true);
    return false;
  } finally {
    find("panel").removeAttribute("aria-busy");
  }
}

async function decode() {
  const options = { imageOrientation: "from-image" };
  try {
    return await createImageBitmap(state.image, options);
  } catch {
    return createImageBitmap(await backend.picture(first.value, state.image), options);
  }
}

function place(picture) {
  const { width, height } = state.answers[0];
  [photograph.width, photograph.height] = [width, height];
  photograph.getContext("2d").drawImage(picture, 0, 0, width, height);
  // As large as the window allows, but a tiny one not beyond four times its size.
  view.style.width = `min(100%, ${4 * width}px, calc(75vh * ${width / height}))`;
  state.place = null;
  cursor.hidden = tip.hidden = true;
  find("hint").hidden = true;
  view.hidden = find("panel").hidden = false;
  document.querySelector("main").classList.add("is-open");
}

// ---- Drawing ----------------------------------------------------------------------------------

const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function word([red, green, blue]) {
  const bytes = isLittleEndian ? [red, green, blue, 255] : [255, blue, green, red];
  return bytes.reduce((sum, value, place) => sum + value * 256 ** place, 0);
}

function paint(answer, canvas) {
  const pixels = new ImageData(answer.width, answer.height);
  const words = new Uint32Array(pixels.data.buffer); // a pixel each; 0 is transparent
  const seen = answer.classes.map(({ name }) => !state.hidden.has(name));
  if (answer.ids) {
    const table = new Uint32Array(256);
    answer.classes.forEach(({ id, color }) => (table[id] = seen[id] ? word(color) : 0));
    for (let pixel = 0; pixel < words.length; pixel++) words[pixel] = table[answer.ids[pixel]];
  } else {
    paintMean(answer, seen, words);
  }
  [canvas.width, canvas.height] = [answer.width, answer.height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function paintMean(answer, seen, words) {
  const shown = answer.classes.filter(({ id }) => seen[id]);
  for (let pixel = 0; pixel < words.length; pixel++) {
    const here = shown.filter(({ id }) => answer.masks[id][pixel]);
    if (!here.length) continue;
    const mean = (channel) =>
      Math.round(here.reduce((sum, { color }) => sum + color[channel], 0) / here.length);
    words[pixel] = word([mean(0), mean(1), mean(2)]);
  }
}

function draw() {
  state.answers.forEach((answer, index) => paint(answer, painted[index]));
  painted[1].hidden = handle.hidden = state.answers.length < 2;
  setOpacity();
  setSplit(state.split);
  listClasses();
  tell();
}

function setOpacity() {
  const { value } = find("opacity");
  for (const canvas of painted) canvas.style.opacity = value / 100;
  find("percent").textContent = `${value} %`;
}

function setSplit(value) {
  state.split = Math.min(Math.max(value, 0), 1);
  const percent = 100 * state.split;
  painted[0].style.clipPath = handle.hidden ? "" : `inset(0 ${100 - percent}% 0 0)`;
  painted[1].style.clipPath = `inset(0 0 0 ${percent}%)`;
  handle.style.left = `${percent}%`;
  handle.setAttribute("aria-valuenow", Math.round(percent));
}

function share(answer, name) {
  const entry = answer.classes.find((other) => other.name === name);
  return entry ? `${(100 * entry.share).toFixed(1)} %` : "–";
}

function listClasses() {
  const rows = new Map();
  for (const answer of state.answers) {
    for (const entry of answer.classes) {
      const known = rows.get(entry.name);
      rows.set(entry.name, { ...entry, share: Math.max(entry.share, known?.share ?? 0) });
    }
  }
  const sorted = [...rows.values()].sort((a, b) => b.share - a.share);
  const focused = document.activeElement?.dataset?.name;
  find("head").colSpan = state.answers.length;
  find("head").textContent = state.answers.map((a) => (state.answers.length > 1 ? a.model : "Share")).join(" | ");
  find("legend").tBodies[0].replaceChildren(...sorted.map(classRow));
  if (focused) find("legend").querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  const [a, b] = state.answers;
  let facts = `${a.width} × ${a.height} pixels`;
  if (a.device) facts += `, computed by ${a.device}`;
  if (b) facts += `; left ${a.model}, right ${b.model}` + differing(a, b);
  find("facts").textContent = facts;
}

function differing(a, b) {
  const names = (answer) => answer.classes.map((entry) => entry.name).join("\n");
  if (!a.ids || !b.ids || names(a) !== names(b)) return "";
  let number = 0;
  for (let pixel = 0; pixel < a.ids.length; pixel++) number += a.ids[pixel] !== b.ids[pixel];
  return `; ${((100 * number) / a.ids.length).toFixed(1)} % of the pixels differ`;
}

function classRow({ name, color }) {
  const row = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row" });
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox" });
  box.checked = !state.hidden.has(name);
  box.dataset.name = name;
  box.addEventListener("change", () => {
    state.hidden[box.checked ? "delete" : "add"](name);
    draw();
  });
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.background = `rgb(${color.join(" ")})`;
  label.append(box, swatch, name);
  head.append(label);
  const shares = state.answers.map((answer) =>
    Object.assign(document.createElement("td"), { textContent: share(answer, name) }));
  row.append(head, ...shares);
  row.dataset.row = name;
  return row;
}

// ---- Reading a place --------------------------------------------------------------------------

function classesAt(answer, pixel) {
  if (answer.ids) return [answer.classes[answer.ids[pixel]].name];
  return answer.classes.filter((_, k) => answer.masks[k][pixel]).map((entry) => entry.name);
}

function tell() {
  for (const row of find("legend").tBodies[0].rows) row.classList.remove("is-here");
  if (!state.place || !state.answers.length) return;
  const [x, y] = state.place;
  const pixel = y * photograph.width + x;
  const lines = state.answers.map((answer) => {
    const names = classesAt(answer, pixel);
    for (const name of names) {
      find("legend").querySelector(`[data-row="${CSS.escape(name)}"]`)?.classList.add("is-here");
    }
    const sure = Math.round((100 * answer.confidence[pixel]) / 255);
    const who = state.answers.length > 1 ? `${answer.model}: ` : "";
    return `${who}${names.join(", ") || "no class"}, ${sure} %`;
  });
  tip.textContent = lines.join("\n");
  find("reading").textContent = `x ${x}, y ${y}\n${lines.join("\n")}`;
  const [left, top] = [(x + 0.5) / photograph.width, (y + 0.5) / photograph.height];
  Object.assign(cursor.style, { left: `${100 * left}%`, top: `${100 * top}%` });
  tip.hidden = false;
  const [across, down] = [overlay.clientWidth, overlay.clientHeight];
  const isLeft = left * across + 14 + tip.offsetWidth > across;
  const x0 = isLeft ? left * across - 14 - tip.offsetWidth : left * across + 14;
  tip.style.left = `${Math.max(0, Math.min(x0, across - tip.offsetWidth))}px`;
  tip.style.top = `${Math.max(0, Math.min(top * down, down - tip.offsetHeight))}px`;
}

function point(event) {
  const box = overlay.getBoundingClientRect();
  const clamp = (value, most) => Math.min(Math.max(Math.floor(value), 0), most - 1);
  state.place = [
    clamp(((event.clientX - box.left) / box.width) * photograph.width, photograph.width),
    clamp(((event.clientY - box.top) / box.height) * photograph.height, photograph.height),
  ];
  cursor.hidden = event.pointerType === "mouse";
  tell();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function step(event) {
  const arrow = ARROWS[event.key];
  if (!arrow || !state.answers.length) return;
  event.preventDefault();
  const { width, height } = photograph;
  const length = Math.max(1, Math.round(Math.max(width, height) / (event.shiftKey ? 12 : 120)));
  const [x, y] = state.place ?? [width >> 1, height >> 1];
  state.place = [
    Math.min(Math.max(x + length * arrow[0], 0), width - 1),
    Math.min(Math.max(y + length * arrow[1], 0), height - 1),
  ];
  cursor.hidden = false;
  tell();
}

// ---- Wiring -----------------------------------------------------------------------------------

async function download(button) {
  const output = button.dataset.output;
  button.disabled = true;
  try {
    const opacity = find("opacity").value / 100;
    const content = await backend.file(first.value, state.image, output, opacity);
    const stem = (state.image.name ?? "photograph").replace(/\.[^.]*$/, "");
    const ending = output === "polygons" ? "geojson" : "png";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = `${stem}_${output}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

find("open").addEventListener("click", () => file.click());
file.addEventListener("change", () => file.files[0] && show(file.files[0]));
first.addEventListener("change", () => refresh());
second.addEventListener("change", () => refresh());
find("opacity").addEventListener("input", setOpacity);
find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  backend.token = find("token").value;
  listModels();
});
for (const button of find("downloads").children) {
  button.hidden = !backend.outputs.includes(button.dataset.output);
  button.addEventListener("click", () => download(button));
}
overlay.addEventListener("pointermove", point);
overlay.addEventListener("pointerdown", point);
overlay.addEventListener("pointerleave", () => (tip.hidden = true));
overlay.addEventListener("keydown", step);
handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
handle.addEventListener("pointermove", (event) => {
  if (!handle.hasPointerCapture(event.pointerId)) return;
  const box = overlay.getBoundingClientRect();
  setSplit((event.clientX - box.left) / box.width);
});
handle.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  setSplit(state.split + steps[event.key]);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  find("stage").classList.add("is-over");
});
addEventListener("dragleave", () => find("stage").classList.remove("is-over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  find("stage").classList.remove("is-over");
  if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const pasted = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
  if (pasted) show(pasted);
});
listModels();
