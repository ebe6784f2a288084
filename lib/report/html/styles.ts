import { PAGE, type RunColor, SHADES, shade } from './palette.js';

type Mode = 'light' | 'dark';

const TOKENS: Readonly<Record<Mode, string>> = {
  light: `--page:${PAGE.light};--text:#1b1f24;--quiet:#57606a;--line:#d0d7de;--stripe:#f4f6f8;--first:#0072b2;--second:#b85c00;--good:#00693f;--bad:#b3261e;--bar:#cfe3f1;--shade:#00000024;`,
  dark: `--page:${PAGE.dark};--text:#e6e9ee;--quiet:#a3acb8;--line:#3a414b;--stripe:#1d2128;--first:#56b4e9;--second:#f0a830;--good:#5cd6a0;--bad:#ff9a90;--bar:#24455c;--shade:#000000a0;`,
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
body{margin:0 auto;max-width:76rem;padding:2rem 1.5rem 4rem;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.7rem;line-height:1.2;letter-spacing:-.01em;margin:0 0 .5rem}
h2{font-size:1.25rem;line-height:1.3;margin:3rem 0 .75rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
p{margin:.5rem 0;max-width:46rem}
a{color:var(--first)}
ul{padding-left:1.2rem;max-width:56rem}
.verdict{font-size:1.1rem}
.quiet,figcaption small{color:var(--quiet)}
.quiet{font-size:.9rem}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:1rem 0}
.facts dt{color:var(--quiet)}
.facts dd{margin:0;min-width:0}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;list-style:none;padding:0;margin:1rem 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(9.4rem,100%),1fr));gap:.6rem;margin:.6rem 0}
.tiles div{padding:.6rem .8rem;border-radius:.5rem;background:var(--stripe);display:flex;flex-direction:column-reverse;justify-content:flex-end}
.tiles dt{color:var(--quiet);font-size:.85rem}
.tiles dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.25;font-variant-numeric:tabular-nums;overflow-wrap:normal}
.pairs{columns:19rem;column-gap:2.5rem;margin:.5rem 0;font-size:.9rem}
.pairs div{display:flex;gap:1rem;justify-content:space-between;padding:.3rem 0;border-bottom:1px solid var(--line);break-inside:avoid}
.pairs dt{color:var(--quiet);flex:none;max-width:55%}
.pairs dd{margin:0;text-align:right;min-width:0}
.scroll{position:relative;overflow-x:auto;max-width:100%;margin:.5rem 0;background:linear-gradient(to right,var(--page),transparent) 0 0/2.5rem 100% no-repeat local,linear-gradient(to left,var(--page) 40%,transparent) 100% 0/2.5rem 100% no-repeat local,linear-gradient(to left,var(--shade),transparent) 100% 0/.9rem 100% no-repeat scroll}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--first);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .65rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{vertical-align:bottom;color:var(--quiet);font-weight:600;font-size:.85rem;line-height:1.25;overflow-wrap:break-word;max-width:8rem}
thead th.n{min-width:3.6rem}
tbody th,tfoot th{font-weight:500;min-width:7rem;max-width:22rem;overflow-wrap:break-word}
.scroll tr>:first-child:not(.n){position:sticky;left:0;background:var(--page);padding-left:0}
td{white-space:nowrap}
th.n,td.n{text-align:right}
tbody th.n{min-width:0}
td.bar{background:linear-gradient(var(--bar),var(--bar)) .25rem .3rem/calc(var(--v)*.92) 1.55em no-repeat;min-width:5.5rem;print-color-adjust:exact;-webkit-print-color-adjust:exact}
tfoot th,tfoot td{color:var(--quiet)}
tfoot tr:first-child>*{border-top:2px solid var(--line)}
.source{min-width:0!important;white-space:nowrap}
.best{font-weight:700}
.up{color:var(--good)}
.down,.failure{color:var(--bad)}
tr.group>*{border-top:2px solid var(--line)}
.swatch{display:inline-block;width:.75em;height:.75em;border-radius:.15em;margin-right:.45em;vertical-align:-.05em;background:var(--c);forced-color-adjust:none;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:.25rem 0 .75rem;font-size:.9rem}
.legend li{min-width:0;max-width:100%}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1.25rem 2rem;align-items:start;margin:1rem 0}
.charts>:only-child{max-width:34rem}
figure{margin:0;min-width:0}
figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem}
figcaption small{display:block;font-weight:400;font-size:.85rem}
svg.chart{display:block;width:100%;max-width:34rem;height:auto;overflow:visible;color:var(--text)}
svg.chart text{white-space:pre}
svg.chart [aria-label$="grid"]{stroke:var(--line);stroke-opacity:1}
svg.chart [aria-label$="tick label"],svg.chart [aria-label$="axis label"]{fill:var(--quiet)}
svg.chart .leader{stroke:var(--quiet);stroke-width:1;stroke-opacity:.7;fill:none}
details{margin:.75rem 0;border:1px solid var(--line);border-radius:.5rem;padding:0 1rem}
summary{cursor:pointer;padding:.6rem 0;font-weight:600}
summary small{font-weight:400;color:var(--quiet);margin-left:.5rem}
details>:last-child{margin-bottom:1rem}
.split{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr));gap:0 2.5rem;align-items:start}
.split>*{min-width:0}
.split>*>h3:first-child{margin-top:.5rem}
.mistakes{list-style:none;padding:0;margin:.75rem 0;display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,28rem),1fr));gap:.75rem 1.5rem}
.mistakes li{border-left:3px solid var(--line);padding:.1rem 0 .1rem .9rem;min-width:0}
blockquote{margin:0;max-width:46rem}
blockquote+blockquote{margin-top:.25rem;padding-top:.25rem;border-top:1px dotted var(--line)}
.tags{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:.3rem 0 0;font-size:.85rem;color:var(--quiet)}
.tags .true b{color:var(--good)}
.tags .false b{color:var(--bad)}
table.matrix{--head:9rem;--cell:4.4rem;table-layout:fixed;width:100%;max-width:calc(var(--head) + var(--n)*var(--cell));border-collapse:separate;border-spacing:1px;font-size:.8rem}
.matrix th,.matrix td{border:0;padding:.25rem .1rem;text-align:center;vertical-align:middle;line-height:1.15;min-width:0;max-width:none;overflow:hidden}
.matrix tr>:first-child{width:var(--head)}
.matrix td.corner{white-space:normal;text-align:right;vertical-align:bottom;color:var(--quiet);padding-right:.5rem;font-size:.75rem}
.matrix thead th{vertical-align:bottom;font-weight:500;font-size:inherit;color:var(--text)}
.matrix.upright thead span{display:block;margin:0 auto;writing-mode:vertical-rl;transform:rotate(180deg);max-height:9rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;text-align:left}
.matrix tbody th{text-align:right;padding-right:.5rem}
.matrix tbody th span{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.matrix tbody td{height:2.3rem;border-radius:.15rem;print-color-adjust:exact;-webkit-print-color-adjust:exact;forced-color-adjust:none}
.matrix td small{display:block;font-size:.85em}
.matrix td.hit{box-shadow:inset 0 0 0 1.5px var(--text)}
.large{font-size:.72rem!important}
.large tbody td{height:2rem}
.huge{font-size:.7rem!important;min-width:calc(var(--head) + var(--n)*.75rem)}
.huge tbody td{font-size:0;height:1.1rem;padding:0}
.huge td small{display:none}
@media (max-width:64rem){.large{--head:8rem}.large tbody td{font-size:0}.large td small{font-size:.62rem}.large tbody td{height:1.7rem}}
@media (max-width:40rem){
body{padding:1.25rem .75rem 2.5rem;font-size:14px}
h1{font-size:1.4rem}
h2{margin-top:2.25rem}
.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:.35rem}
.tiles{grid-template-columns:1fr 1fr}
.tiles dd{font-size:1.15rem}
th,td{padding:.3rem .28rem}
thead th.n{min-width:0}
tbody th,tfoot th{min-width:5rem;max-width:7rem}
tbody th:has(.swatch){min-width:7.5rem}
td.bar{min-width:3.6rem}
details{padding:0 .6rem}
.matrix{--head:6.8rem!important;font-size:.7rem!important}
.matrix.upright thead span{max-height:6rem}
.small.upright thead span{max-height:7rem}
.middle tbody td{font-size:0;height:1.7rem}
.middle td small{font-size:.6rem}
.large tbody td{height:1.05rem;padding:0}
.large td small{display:none}
.matrix td.hit{box-shadow:inset 0 0 0 1px var(--text)}
}
`;

/** Paper: light, folded parts open, nothing that scrolls, nothing cut. */
const PRINT = `
@page{size:A4;margin:14mm 12mm}
@page wide{size:A4 landscape}
html{font-size:11.5px}
body{max-width:none;padding:0;font-size:1rem}
nav{display:none}
h2{margin-top:2rem}
h2,h3,summary,figcaption{break-after:avoid}
figure,tr,.facts,li,.tiles,.matrix{break-inside:avoid}
.scroll{overflow:visible;background:none}
thead{display:table-header-group}
th,td{padding:.2rem .45rem}
.scroll tr>:first-child{position:static}
.split{display:block}
.charts{grid-template-columns:1fr 1fr;gap:.75rem 1.5rem}
.charts>:only-child{max-width:10cm}
details{border:0;padding:0}
details::details-content{content-visibility:visible;display:block;height:auto;block-size:auto}
summary{list-style:none;font-size:1.1rem;border-top:1px solid var(--line)}
summary::-webkit-details-marker{display:none}
.mistakes{grid-template-columns:1fr 1fr}
.wide:has(.large,.huge){page:wide}
.matrix tbody td{height:2rem}
.matrix.large tbody td{height:1.8rem;font-size:.7rem}
`;

/** The page's style: light and dark as the reader's system has it, narrow screens, paper. */
export function styles(runs: readonly RunColor[]): string {
  const light = `:root{${tokens('light', runs)}}`;
  return (
    `:root{color-scheme:light dark}${light}@media screen and (prefers-color-scheme:dark){:root{${tokens('dark', runs)}}}` +
    `${LAYOUT}@media print{:root{color-scheme:light}${PRINT}}`
  );
}
