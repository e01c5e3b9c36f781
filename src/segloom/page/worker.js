// Runs the network beside the page, so that the page stays alive. Sent once {bundle, wasm, model,
// about}, then {pixels, width, height} for every photograph.

let session = null;
let about = null;
let ort = null;

async function start(given) {
  about = given.about;
  const url = URL.createObjectURL(new Blob([given.bundle], { type: "text/javascript" }));
  ort = await import(url);
  URL.revokeObjectURL(url);
  ort.env.wasm.wasmBinary = given.wasm;
  ort.env.wasm.numThreads = 1; // more need headers that a file has not
  session = await ort.InferenceSession.create(new Uint8Array(given.model), {
    executionProviders: ["wasm"],
  });
  return {};
}

async function answer({ pixels, width, height }) {
  const image = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
  const { labels, logits } = await session.run({ image }, ["labels", "logits"]);
  const result = { width, height, confidence: sureness(logits.data, width * height) };
  if (!about.overlaps) return { ...result, ids: Uint8Array.from(labels.data), masks: [] };
  return { ...result, ids: null, masks: about.classes.map((_, k) => mask(labels.data, k)) };
}

// The probability of what was decided, 0 to 255; of overlapping classes the least sure one.
function sureness(logits, size) {
  const number = about.classes.length;
  const confidence = new Uint8Array(size);
  for (let pixel = 0; pixel < size; pixel++) {
    let probability;
    if (about.overlaps) {
      let least = Infinity;
      for (let k = 0; k < number; k++) least = Math.min(least, Math.abs(logits[k * size + pixel]));
      probability = 1 / (1 + Math.exp(-least));
    } else {
      let [most, sum] = [-Infinity, 0];
      for (let k = 0; k < number; k++) most = Math.max(most, logits[k * size + pixel]);
      for (let k = 0; k < number; k++) sum += Math.exp(logits[k * size + pixel] - most);
      probability = 1 / sum;
    }
    confidence[pixel] = Math.round(255 * probability);
  }
  return confidence;
}

// A bit per class: from 0 on for up to seven classes, else from 8 on, up to 55 (BigInt).
function mask(labels, k) {
  const bit = about.classes.length <= 7 ? k : k + 8;
  const has = labels instanceof BigInt64Array
    ? (value) => (value >> BigInt(bit)) & 1n
    : (value) => (value >> bit) & 1;
  return Uint8Array.from(labels, (value) => (has(value) ? 255 : 0));
}

onmessage = async ({ data }) => {
  try {
    postMessage(await (data.bundle ? start(data) : answer(data)));
  } catch (error) {
    postMessage({ error: String(error?.message ?? error) });
  }
};
