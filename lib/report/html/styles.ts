import { PAGE, type RunColor, SHADES, shade } from './palette.js';

type Mode = 'light' | 'dark';

const TOKENS: Readonly<Record<Mode, string>> = {
  light: `--page:${PAGE.light};--text:#1b1f24;--quiet:#57606a;--line:#d0d7de;--stripe:#f4f6f8;--first:#0072b2;--second:#b85c00;--good:#00693f;--bad:#b3261e;`,
  dark: `--page:${PAGE.dark};--text:#e6e9ee;--quiet:#a3acb8;--line:#3a414b;--stripe:#1d2128;--first:#56b4e9;--second:#f0a830;--good:#5cd6a0;--bad:#ff9a90;`,
};

/** What depends on the mode, as custom properties. */
function tokens(mode: Mode, runs: readonly RunColor[]): string {
  const colors = runs.map((color, index) => `--run-${index}:${color[mode]};`).join('');
  const shades = Array.from({ length: SHADES }, (_, step) => {
    const { background, text } = shade(step, mode);
    return `--s${step}:${background};--t${step}:${text};`;
  }).join('');
  return TOKENS[mode] + colors + shades;
}

const LAYOUT = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;max-width:76rem;padding:1.5rem 1rem 3rem;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.25rem;line-height:1.3;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0;max-width:50rem}
a{color:var(--first)}
.verdict{font-size:1.1rem}
.quiet,figcaption small{color:var(--quiet)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.75rem 0}
.facts dt{color:var(--quiet)}
.facts dd{margin:0;min-width:0}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;padding:0;margin:1rem 0 0}
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--first);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);padding-bottom:.25rem}
th,td{padding:.3rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{vertical-align:bottom;color:var(--quiet);font-weight:600;overflow-wrap:break-word;max-width:12rem}
tbody th{font-weight:500;min-width:8rem;max-width:22rem;overflow-wrap:break-word}
.scroll tbody th:first-child{position:sticky;left:0;background:var(--page)}
td{white-space:nowrap}
.pairs td,.wrap td{white-space:normal;max-width:40rem}
th.n,td.n{text-align:right}
tbody th.n{min-width:0}
.source{min-width:0!important;white-space:nowrap}
.split th,.split td{padding-left:.4rem;padding-right:.4rem}
.best{font-weight:700}
.up{color:var(--good)}
.down,.failure{color:var(--bad)}
tr.group>*{border-top:2px solid var(--line)}
.swatch{display:inline-block;width:.75em;height:.75em;border-radius:.15em;margin-right:.45em;vertical-align:-.05em;background:var(--c);forced-color-adjust:none;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:.25rem 0 .75rem;font-size:.9rem}
.legend li{min-width:0;max-width:100%}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem 1.5rem;align-items:start}
.charts>:only-child{max-width:34rem}
figure{margin:0;min-width:0}
figcaption{font-weight:600;font-size:.95rem}
figcaption small{display:block;font-weight:400;font-size:.85rem}
svg.chart{display:block;width:100%;max-width:34rem;height:auto;overflow:visible;color:var(--text)}
svg.chart text{white-space:pre}
svg.chart [aria-label$="grid"]{stroke:var(--line);stroke-opacity:1}
svg.chart [aria-label$="tick label"],svg.chart [aria-label$="axis label"]{fill:var(--quiet)}
svg.chart .leader{stroke:var(--quiet);stroke-width:1;stroke-opacity:.7;fill:none}
details{margin:.75rem 0;border:1px solid var(--line);border-radius:.4rem;padding:0 .9rem}
summary{cursor:pointer;padding:.5rem 0;font-weight:600}
summary small{font-weight:400;color:var(--quiet);margin-left:.5rem}
details>:last-child{margin-bottom:.9rem}
.split{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:0 1.5rem;align-items:start}
.split>*{min-width:0}
table.matrix{border-collapse:separate;border-spacing:1px;font-size:.8rem}
.matrix th,.matrix td{border:0;padding:.2rem .3rem}
.matrix td{text-align:center;vertical-align:middle;min-width:2.4rem;line-height:1.15;print-color-adjust:exact;-webkit-print-color-adjust:exact;forced-color-adjust:none}
.matrix td small{display:block;font-size:.85em}
.matrix thead th{text-align:center}
.matrix .tall{height:9.5rem;vertical-align:bottom}
.matrix .tall span{display:inline-block;writing-mode:vertical-rl;transform:rotate(180deg);max-height:9rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;text-align:left}
.matrix tbody th{text-align:right;min-width:0}
.matrix tbody th span{display:block;max-width:min(9rem,26vw);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.matrix td.hit{outline:2px solid var(--text);outline-offset:-2px}
.dense td{min-width:1.9rem;padding:.1rem}
.dense{font-size:.7rem!important}
@media (max-width:40rem){body{padding:1rem .75rem 2rem;font-size:14px}.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.35rem}tbody th{min-width:6.5rem;max-width:9rem}}
`;

/** Paper: light, folded parts open, nothing that scrolls, nothing cut. */
const PRINT = `
@page{size:A4;margin:14mm 12mm}
@page wide{size:A4 landscape}
body{max-width:none;padding:0;font-size:9.5pt}
nav{display:none}
h2,h3,summary,figcaption{break-after:avoid}
figure,tr,.facts,li,.scroll{break-inside:avoid}
.split .charts{grid-template-columns:9cm}
.scroll{overflow:visible}
table{font-size:7.6pt}
thead{display:table-header-group}
th,td{padding:.15rem .35rem}
tbody th{min-width:6.5rem;max-width:14rem}
.pairs td,.wrap td{white-space:normal}
.charts{grid-template-columns:1fr 1fr;gap:.6rem}
.split{display:block}
details{border:0;padding:0}
details::details-content{content-visibility:visible;display:block;height:auto;block-size:auto}
summary{list-style:none;font-size:12pt;border-top:1px solid var(--line)}
summary::-webkit-details-marker{display:none}
.matrix{break-inside:avoid}
.wide{page:wide}
table.matrix{font-size:7pt}
table.dense{font-size:5.4pt!important}
.dense td{min-width:0;padding:1px}
.scroll tbody th:first-child{position:static}
.matrix tbody th span{max-width:7rem}
.matrix td.hit{outline-width:1px}
`;

/** The page's style: light and dark as the reader's system has it, narrow screens, paper. */
export function styles(runs: readonly RunColor[]): string {
  const light = `:root{${tokens('light', runs)}}`;
  return (
    `:root{color-scheme:light dark}${light}@media screen and (prefers-color-scheme:dark){:root{${tokens('dark', runs)}}}` +
    `${LAYOUT}@media print{:root{color-scheme:light}${PRINT}}`
  );
}
