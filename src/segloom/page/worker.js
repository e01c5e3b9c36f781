// Runs the network beside the page, so that the page stays alive. Sent once {bundle, wasm, model,
// about}, then {pixels, width, height} for every photograph.

let session = null; // of WebAssembly, whose labels are the ones that count
let faster = null; // of WebGPU, once it has given the same
let model = null; // kept until WebGPU has been tried
let about = null;
let ort = null;

const DIFFERING = 1e-4; // Share of the labels that WebGPU may have otherwise, as exports may.

async function start(given) {
  about = given.about;
  const url = URL.createObjectURL(new Blob([given.bundle], { type: "text/javascript" }));
  ort = await import(url);
  URL.revokeObjectURL(url);
  ort.env.wasm.wasmBinary = given.wasm;
  ort.env.wasm.numThreads = 1; // more need headers that a file has not
  model = new Uint8Array(given.model);
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return {};
}

async function answer({ pixels, width, height }) {
  const image = new ort.Tensor("uint8", pixels, [1, height, width, 3]);
  const [{ labels, logits }, device] = await run(image);
  const result = { width, height, device, confidence: sureness(logits.data, width * height) };
  if (!about.overlaps) return { ...result, ids: Uint8Array.from(labels.data), masks: [] };
  return { ...result, ids: null, masks: about.classes.map((_, k) => mask(labels.data, k)) };
}

async function run(image) {
  if (faster) {
    try {
      return [await faster.run({ image }, ["labels", "logits"]), "WebGPU"];
    } catch {
      faster = null; // such as a device that is lost, or an image too large for it
    }
  }
  const begun = performance.now();
  const found = await session.run({ image }, ["labels", "logits"]);
  if (model) await tryWebGpu(image, found.labels.data, performance.now() - begun);
  return [found, "WebAssembly"];
}

// Takes WebGPU for the next images if it gives the labels of this one, and sooner.
async function tryWebGpu(image, labels, wasmTime) {
  const bytes = model;
  model = null;
  if (!(await navigator.gpu?.requestAdapter())) return;
  try {
    const candidate = await ort.InferenceSession.create(bytes, { executionProviders: ["webgpu"] });
    await candidate.run({ image }, ["labels"]); // the first run compiles
    const begun = performance.now();
    const found = (await candidate.run({ image }, ["labels", "logits"])).labels.data;
    const gpuTime = performance.now() - begun;
    const differing = labels.reduce((sum, value, pixel) => sum + (value !== found[pixel]), 0);
    if (differing <= DIFFERING * labels.length && gpuTime < wasmTime) faster = candidate;
    else await candidate.release();
  } catch (error) {
    console.info(`WebGPU is not used: ${error.message}`);
  }
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
