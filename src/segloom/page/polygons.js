// Label maps as GeoJSON: outlines along the edges of pixels, with holes; the same as those of
// segloom.labels.polygons. Pixels that touch along an edge belong together.

// x and y of the directions east, south, west and north.
const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]];

// A feature for every object of every class but the background. `has(k)` tells of a class which
// pixels it has, as a function of their number.
globalThis.featureCollection = (classes, has, width, height) => {
  const features = classes.flatMap(({ name }, k) => {
    if (name === "background") return [];
    return tracePolygons(has(k), width, height).map(({ rings, area }) => ({
      type: "Feature",
      properties: { class: name, area },
      geometry: { type: "Polygon", coordinates: rings.map((ring) => [...ring, ring[0]]) },
    }));
  });
  return { type: "FeatureCollection", features };
};

// The objects of a class, from the top down: exterior and holes, and the number of pixels.
function tracePolygons(has, width, height) {
  const { components, areas } = findComponents(has, width, height);
  const objects = areas.map((area) => ({ rings: [], area }));
  const holes = areas.map(() => []);
  for (const { component, ring } of findRings(components, width, height)) {
    (signedArea(ring) > 0 ? objects[component].rings : holes[component]).push(ring);
  }
  return objects.map(({ rings, area }, k) => ({ rings: [...rings, ...holes[k]], area })).slice(1);
}

// The number of every pixel's object, 0 where there is none, and how many pixels each has.
function findComponents(has, width, height) {
  const components = new Int32Array(width * height);
  const areas = [0];
  for (let first = 0; first < components.length; first++) {
    if (components[first] || !has(first)) continue;
    const number = areas.push(0) - 1;
    const waiting = [first];
    components[first] = number;
    while (waiting.length) {
      const pixel = waiting.pop();
      areas[number]++;
      const x = pixel % width;
      const neighbours = [
        x + 1 < width ? pixel + 1 : -1,
        pixel + width < components.length ? pixel + width : -1,
        x > 0 ? pixel - 1 : -1,
        pixel - width,
      ];
      for (const neighbour of neighbours) {
        if (neighbour < 0 || components[neighbour] || !has(neighbour)) continue;
        components[neighbour] = number;
        waiting.push(neighbour);
      }
    }
  }
  return { components, areas };
}

// Links the edges of objects to rings. Every edge runs with its object at the right hand; where
// two objects touch at a corner, a ring turns right and so stays with its own pixel.
function findRings(components, width, height) {
  const columns = width + 1;
  const owners = new Int32Array(4 * columns * (height + 1)); // of the edge from a corner, by direction
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : components[y * width + x]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const own = at(x, y);
      if (!own) continue;
      const corner = y * columns + x;
      if (!at(x, y - 1)) owners[4 * corner] = own;
      if (!at(x + 1, y)) owners[4 * (corner + 1) + 1] = own;
      if (!at(x, y + 1)) owners[4 * (corner + columns + 1) + 2] = own;
      if (!at(x - 1, y)) owners[4 * (corner + columns) + 3] = own;
    }
  }
  const rings = [];
  for (let first = 0; first < owners.length; first++) {
    if (!owners[first]) continue;
    const component = owners[first];
    const ring = [];
    for (let edge = first; owners[edge]; ) {
      owners[edge] = 0;
      const heading = edge % 4;
      const end = (edge >> 2) + STEPS[heading][0] + STEPS[heading][1] * columns;
      const turns = [1, 0, 3].map((turn) => 4 * end + ((heading + turn) % 4));
      edge = turns.find((next) => owners[next] || next === first);
      if (edge % 4 !== heading) ring.push([end % columns, Math.floor(end / columns)]);
    }
    rings.push({ component, ring });
  }
  return rings;
}

// By the shoelace formula; positive if clockwise on the screen.
function signedArea(ring) {
  let area = 0;
  ring.forEach(([x, y], k) => {
    const [nextX, nextY] = ring[(k + 1) % ring.length];
    area += x * nextY - nextX * y;
  });
  return area / 2;
}
