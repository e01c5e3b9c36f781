// Answers of a network in the page itself: nothing is sent anywhere.
// In the page stand, as <script type="text/plain">, gzipped in base64: bundle, wasm, model; and as
// JSON: about; and the text of the worker.

const textOf = (id) => document.getElementById(id).textContent;

async function unpacked(id) {
  const element = document.getElementById(id);
  const packed = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  element.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

function changesPixels() {
  // Browsers that hide fingerprints add noise to what a script reads from a canvas.
  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = new ImageData(16, 16);
  for (let place = 0; place < pixels.data.length; place++) {
    pixels.data[place] = place % 4 === 3 ? 255 : (place * 37) % 256;
  }
  context.putImageData(pixels, 0, 0);
  return context.getImageData(0, 0, 16, 16).data.some((value, place) => value !== pixels.data[place]);
}

globalThis.backend = {
  outputs: ["label", "overlay", "polygons"],
  token: "",
  about: null,
  worker: null,
  last: Promise.resolve(),

  async list(say) {
    this.about = JSON.parse(textOf("about"));
    const parts = {};
    for (const [name, words] of [["wasm", "runtime"], ["bundle", "runtime"], ["model", "network"]]) {
      say(`Unpacking the ${words} ...`);
      parts[name] = await unpacked(name);
    }
    parts.bundle = new TextDecoder().decode(parts.bundle);
    say("Starting the network ...");
    const source = new Blob([textOf("worker")], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(source)); // a module would not load from a file
    await this.tell({ ...parts, about: this.about }, [parts.wasm, parts.model]);
    if (changesPixels()) {
      throw new Error("This browser changes the pixels that a page reads; answers would be wrong.");
    }
    return [this.about];
  },

  tell(message, moved) {
    // One after the other: the worker answers in the order in which it is asked.
    const told = this.last.then(() => new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
      this.worker.onerror = (event) => reject(new Error(event.message || "The worker stopped."));
      this.worker.postMessage(message, moved);
    }));
    this.last = told.catch(() => {});
    return told;
  },

  async answer(model, image) {
    const { pixels, width, height } = await this.read(image);
    let found;
    try {
      found = await this.tell({ pixels, width, height }, [pixels.buffer]);
    } catch (error) {
      throw new Error(`${width} × ${height} pixels: ${error.message}`);
    }
    const area = width * height;
    const classes = this.about.classes.map((entry, k) => {
      const number = found.ids
        ? found.ids.reduce((sum, id) => sum + (id === k), 0)
        : found.masks[k].reduce((sum, value) => sum + (value > 0), 0);
      return { ...entry, pixels: number, share: number / area };
    });
    return { ...found, model, overlaps: this.about.overlaps, classes };
  },

  async read(image) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(image, {
        imageOrientation: "from-image",
        colorSpaceConversion: "none",
        premultiplyAlpha: "none",
      });
    } catch {
      throw new Error("This is no image that the browser knows; convert it to PNG or JPEG.");
    }
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const pixels = new Uint8Array(3 * width * height);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      pixels[to++] = data[from];
      pixels[to++] = data[from + 1];
      pixels[to++] = data[from + 2];
    }
    return { pixels, width, height };
  },

  async file(model, image, output, opacity) {
    if (output === "overlay") return this.overlay(opacity);
    const { ids, masks, classes, width, height, overlaps } = await this.answer(model, image);
    if (output === "polygons") {
      const has = (k) => (ids ? (pixel) => ids[pixel] === k : (pixel) => masks[k][pixel] > 0);
      const content = JSON.stringify(featureCollection(classes, has, width, height));
      return new Blob([content], { type: "application/geo+json" });
    }
    if (overlaps) throw new Error("Classes that overlap have no single label map.");
    return greyPng(ids, width, height);
  },

  overlay(opacity) {
    const [photograph, painted] = ["photograph", "painted-first"].map((id) => document.getElementById(id));
    const canvas = new OffscreenCanvas(photograph.width, photograph.height);
    const context = canvas.getContext("2d");
    context.drawImage(photograph, 0, 0);
    context.globalAlpha = opacity;
    context.drawImage(painted, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  },

  picture() {
    throw new Error("This is no image that the browser knows; convert it to PNG or JPEG.");
  },
};

// A PNG whose grey values are the class ids: a canvas can only write colours.
async function greyPng(ids, width, height) {
  const rows = new Uint8Array((width + 1) * height); // each begins with its filter, 0
  for (let y = 0; y < height; y++) {
    rows.set(ids.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const stream = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, width);
  head.setUint32(4, height);
  head.setUint32(8, 0x08000000); // 8 bits, grey
  const parts = [["IHDR", new Uint8Array(head.buffer)], ["IDAT", packed], ["IEND", new Uint8Array()]];
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  return new Blob([signature, ...parts.map(([kind, content]) => chunk(kind, content))], { type: "image/png" });
}

function chunk(kind, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, checksum(bytes.subarray(4, content.length + 8)));
  return bytes;
}

function checksum(bytes) {
  let value = 0xffffffff; // CRC-32, as PNG defines it
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return (value ^ 0xffffffff) >>> 0;
}
