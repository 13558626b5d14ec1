// The stage in TypeScript: a page with charts, of the scores and clusters that the stages before have found.

import type { Tensor } from "thornback";

/** All documents, as `terms.score` gives them. */
export interface Scores {
  readonly titles: readonly string[];
  readonly words: readonly number[];
  readonly terms: readonly string[];
  readonly weights: Tensor;
}

/** What `documents.cluster` found. */
export interface Clusters {
  readonly clusters: readonly number[];
  /** A place on a plane for each document. */
  readonly places: readonly (readonly [number, number])[];
  readonly keywords: readonly (readonly string[])[];
}

const COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#9d755d"];
const [WIDTH, HEIGHT, MARGIN] = [720, 420, 24];

/** A page of its own, that needs nothing else. */
export function render(scores: Scores, found: Clusters): string {
  const groups = found.keywords.map((keywords, cluster) => ({
    keywords,
    colour: colourOf(cluster),
    documents: scores.titles.map((title, at) => ({ title, at })).filter(({ at }) => found.clusters[at] === cluster),
  }));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>What these texts are about</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: ${WIDTH}px; margin: 2rem auto; padding: 0 1rem; color: #222; }
  svg { width: 100%; height: auto; } h2 { margin: 1.5rem 0 0; font-size: 1rem; } ul { margin: 0; }
  text { font: 11px system-ui, sans-serif; fill: #444; } .words { color: #777; }
</style>
<h1>What these texts are about</h1>
<p>${scores.titles.length} documents, ${sum(scores.words).toLocaleString("en")} words. Cut into words by Go, scored by Rust on
${scores.terms.length} terms, sorted by Python, drawn by TypeScript.</p>
${map(scores, found)}
${groups.map(({ keywords, colour, documents }) => section(keywords, colour, documents, scores)).join("\n")}
<h2>How long they are</h2>
${bars(scores, found)}
</html>
`;
}

/** Documents near each other use the same words. */
function map(scores: Scores, found: Clusters): string {
  const across = scale(found.places.map(([x]) => x), MARGIN, WIDTH - 8 * MARGIN);
  const down = scale(found.places.map(([, y]) => y), HEIGHT - MARGIN, MARGIN);
  const dots = found.places.map(([x, y], at) => {
    const [left, top] = [across(x).toFixed(1), down(y).toFixed(1)];
    const title = escape(scores.titles[at] ?? "");
    const label = escape(shortened(scores.titles[at] ?? "", 24));
    return `<circle cx="${left}" cy="${top}" r="5" fill="${colourOf(found.clusters[at])}"><title>${title}</title></circle>
<text x="${left}" y="${top}" dx="8" dy="4">${label}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="The documents on a plane">\n${dots.join("\n")}\n</svg>`;
}

function section(
  keywords: readonly string[],
  colour: string,
  documents: readonly { title: string; at: number }[],
  scores: Scores,
): string {
  const items = documents.map(({ title, at }) => `<li>${escape(title)} <span class="words">${scores.words[at]} words</span></li>`);
  return `<h2 style="color: ${colour}">${keywords.map(escape).join(" · ")}</h2>\n<ul>${items.join("")}</ul>`;
}

function bars(scores: Scores, found: Clusters): string {
  const [row, labels] = [18, 260];
  const longest = Math.max(1, ...scores.words);
  const order = scores.words.map((words, at) => ({ words, at })).sort((a, b) => b.words - a.words);
  const drawn = order.map(({ words, at }, position) => {
    const length = ((WIDTH - labels - 60) * words) / longest;
    const y = position * row;
    return `<text x="${labels - 8}" y="${y + 13}" text-anchor="end">${escape(shortened(scores.titles[at] ?? "", 40))}</text>
<rect x="${labels}" y="${y + 3}" width="${length.toFixed(1)}" height="12" fill="${colourOf(found.clusters[at])}"/>
<text x="${(labels + length + 4).toFixed(1)}" y="${y + 13}">${words}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${order.length * row}" role="img" aria-label="Words of each document">\n${drawn.join("\n")}\n</svg>`;
}

function colourOf(cluster: number | undefined): string {
  return COLOURS[(cluster ?? 0) % COLOURS.length] ?? "#888";
}

function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const least = Math.min(...values);
  const range = Math.max(...values) - least || 1;
  return (value) => from + ((value - least) / range) * (to - from);
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);
}
