// Builds what the pages load into ../built: names that change with the content, and brotli and gzip beside each.
// Run by hatch_build.py after `npm ci`; without what it builds the pages still work.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { build } from "esbuild";
import { feature } from "topojson-client";

const OUT = fileURLToPath(new URL("../built/", import.meta.url));
const HERE = fileURLToPath(new URL("./", import.meta.url));
const REGION = { 398: "KZ", 417: "KG", 762: "TJ", 795: "TM", 860: "UZ" };
const COMMON = { absWorkingDir: HERE, bundle: true, minify: true, legalComments: "none", logLevel: "warning" };

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT, { recursive: true });

const manifest = {};

async function named(options) {
  const { metafile } = await build({ ...COMMON, ...options, metafile: true, outdir: OUT, entryNames: "[name]-[hash]" });
  for (const [path, output] of Object.entries(metafile.outputs)) {
    if (!output.entryPoint) continue;
    const file = path.slice(path.lastIndexOf("/") + 1);
    const [, name, extension] = file.match(/^(.*)-[A-Z0-9]{8}\.(\w+)$/);
    manifest[`${name}.${extension}`] = file;
    // esbuild writes the styles that a script imports beside it.
    if (output.cssBundle) manifest[`${name}.css`] = output.cssBundle.slice(output.cssBundle.lastIndexOf("/") + 1);
  }
}

await named({ entryPoints: ["hub.css"] });
await named({ entryPoints: ["hub.js"], format: "iife", target: "es2022" });
await named({
  entryPoints: {
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
  },
  format: "iife",
});
await named({
  entryPoints: ["explorer.js"],
  format: "esm",
  splitting: true,
  chunkNames: "part-[hash]",
  assetNames: "[name]-[hash]",
  loader: { ".ttf": "file" },
  define: { "process.env.NODE_ENV": '"production"' },
});

// Natural Earth's outlines in degrees, to a tenth of one and without repeated points: enough for a map of the region.
const world = JSON.parse(await readFile(`${HERE}node_modules/world-atlas/countries-50m.json`));
const outlines = {};
for (const each of feature(world, world.objects.countries).features) {
  const code = REGION[Number(each.id)];
  if (!code) continue;
  const polygons = each.geometry.type === "Polygon" ? [each.geometry.coordinates] : each.geometry.coordinates;
  outlines[code] = polygons
    .map(([ring]) => ring.map((at) => at.map((n) => Math.round(n * 10) / 10)))
    .map((ring) => ring.filter((at, n) => n === 0 || at.join() !== ring[n - 1].join()))
    .filter((ring) => ring.length > 8);
}
if (Object.keys(outlines).length !== 5) throw new Error("the outlines of the five countries were not found");
await writeFile(`${OUT}outlines.json`, JSON.stringify(outlines));

const brotli = promisify(brotliCompress);
const zip = promisify(gzip);
for (const file of await readdir(OUT)) {
  if (!/\.(css|js)$/.test(file)) continue;
  const bytes = await readFile(OUT + file);
  // The explorer is four megabytes: the last tenth of its size is not worth a minute of every build.
  const quality = bytes.length > 200_000 ? 9 : 11;
  await writeFile(`${OUT}${file}.br`, await brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }));
  await writeFile(`${OUT}${file}.gz`, await zip(bytes, { level: 9 }));
}
await writeFile(`${OUT}manifest.json`, JSON.stringify(manifest, null, 1));
