// Answers of `segloom serve`. Label maps come as compressed bytes and not as pictures: browsers
// that hide fingerprints change the pixels that a script reads from a canvas.

class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

globalThis.backend = {
  outputs: ["label", "overlay", "polygons"],
  token: "",
  models: [],

  async ask(path, options = {}) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch {
      throw new Refused(0, "The server does not answer.");
    }
    if (!answer.ok) {
      const content = await answer.json().catch(() => ({}));
      throw new Refused(answer.status, content.error ?? `The server answered ${answer.status}.`);
    }
    return answer;
  },

  segment(image, parameters) {
    return this.ask(`v1/segment?${new URLSearchParams(parameters)}`, { method: "POST", body: image });
  },

  async unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  },

  async list() {
    this.models = (await (await this.ask("v1/models")).json()).models;
    return this.models;
  },

  async answer(model, image) {
    const { overlaps } = this.models.find(({ name }) => name === model);
    const include = overlaps ? "masks,confidence" : "label,confidence";
    const wish = { model, include, encoding: "zlib" };
    const facts = await (await this.segment(image, wish)).json();
    const masks = overlaps
      ? await Promise.all(facts.classes.map(({ name }) => this.unpack(facts.masks[name])))
      : [];
    const ids = overlaps ? null : await this.unpack(facts.label);
    return { ...facts, ids, masks, confidence: await this.unpack(facts.confidence) };
  },

  async file(model, image, output, opacity) {
    const wish = { model, output, ...(output === "overlay" ? { opacity } : {}) };
    return (await this.segment(image, wish)).blob();
  },

  // What this browser cannot read, such as TIFF, comes back from the server as PNG.
  async picture(model, image) {
    return (await this.segment(image, { model, output: "overlay", opacity: 0 })).blob();
  },
};
