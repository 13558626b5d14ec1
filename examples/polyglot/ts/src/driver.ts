// The pipeline from TypeScript, on the node that THORNBACK_ADDRESS names. No value comes here but the page at the end.
//
//     node dist/driver.js [DIRECTORY] [--out FILE]

import { readdir, writeFile } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { Client } from "thornback";

const { values, positionals } = parseArgs({
  options: { out: { type: "string", default: "polyglot.html" } },
  allowPositionals: true,
});

// Workers need not have the same working directory.
const directory = resolve(positionals[0] ?? "docs");
const entries = await readdir(directory, { recursive: true });
const files = entries.filter((file) => [".md", ".txt"].includes(extname(file))).sort();

await using client = await Client.connect();
const [tokenise, count, score] = [client.task("text.tokenise"), client.task("terms.count"), client.task("terms.score")];
const [cluster, render] = [client.task("documents.cluster"), client.task("report.render")];

const counted = files.map((file) => count(tokenise(join(directory, file))));
const scores = score(counted);
const page = await render(scores, cluster(scores)).get();
await writeFile(values.out, String(page));
console.log(`${files.length} documents from TypeScript: ${values.out}`);
