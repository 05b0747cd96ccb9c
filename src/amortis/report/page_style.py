"""The style of a report page: light and dark, wide and narrow, screen and paper."""

_LIGHT = """
--bg:#fff;--card:#f5f7f9;--ink:#1b1f24;--soft:#555e68;--line:#d3d9df;--grid:#e7ebef;
--first:#0b5fa5;--second:#b45309;--warning:#8a5a00;--bad:#b3261e;--quiet:#5d6670;--good:#1a7035;
--band:#dde6ee;--link:#0b5fa5"""

_DARK = """
--bg:#13161a;--card:#1c2026;--ink:#e7eaee;--soft:#aab3bd;--line:#3a414b;--grid:#282e36;
--first:#6fb4f5;--second:#f5a35c;--warning:#e2b04a;--bad:#ff8078;--quiet:#9aa4af;--good:#63cf82;
--band:#28333f;--link:#8ac2f7"""

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main,footer{max-width:1120px;margin:0 auto;padding:0 20px}
header{padding-top:40px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.3rem;line-height:1.3;margin:0 0 8px;letter-spacing:-.01em}
h3{font-size:1.02rem;line-height:1.35;margin:0 0 2px;overflow-wrap:anywhere}
p{margin:0 0 12px;max-width:72ch;overflow-wrap:anywhere}
a{color:var(--link)}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
background:var(--card);border-radius:4px;padding:.12em .35em;overflow-wrap:anywhere}
section{padding:28px 0;border-top:1px solid var(--line);margin-top:8px}
.soft,figcaption p,footer,.note{color:var(--soft)}
.note,figcaption p,footer{font-size:.88rem}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:20px 0 16px;padding:0;
font-size:.92rem}
.answer{border:1px solid var(--line);border-left:6px solid var(--tone);border-radius:10px;
background:var(--card);padding:20px 24px;margin:24px 0 0}
.answer .word{color:var(--tone);font-weight:700;margin:0}
.answer .found{font-size:1.35rem;line-height:1.35;font-weight:600;margin:2px 0 10px;
letter-spacing:-.01em}
.answer ul{margin:4px 0 0;padding-left:1.2em}
.answer li{margin:3px 0;overflow-wrap:anywhere}
.answer code{background:var(--bg)}
.good{--tone:var(--good)}.caution{--tone:var(--warning)}.poor{--tone:var(--bad)}
.plain{--tone:var(--quiet)}
dl.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:14px;
margin:18px 0 8px}
.tiles div{border:1px solid var(--line);border-radius:10px;padding:12px 16px;display:flex;
flex-direction:column;justify-content:space-between;min-width:0;overflow-wrap:anywhere}
.tiles dt{color:var(--soft);font-size:.88rem}
.tiles dd{margin:0;font-size:1.5rem;font-weight:600;letter-spacing:-.01em;line-height:1.25;
font-variant-numeric:tabular-nums}
.tiles dd small{display:block;font-size:.84rem;font-weight:400;letter-spacing:0;color:var(--soft)}
.scroll{overflow-x:auto;margin:0 0 12px;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:7px 18px 7px 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--grid)}
thead th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--line);
white-space:nowrap}
tbody th{font-weight:500}
td.number,th.number{text-align:right;white-space:nowrap}
td.wide{min-width:22ch}.short{white-space:nowrap}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(430px,100%),1fr));
gap:28px 36px;margin:16px 0 4px}
.charts>*{min-width:0}.charts .note{margin:0 0 4px}
figure{margin:0;max-width:540px}
figcaption p{margin:0 0 4px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;margin:4px 0 4px;padding:0;
font-size:.86rem;color:var(--soft)}
.legend i{display:inline-block;width:18px;margin-right:7px;vertical-align:middle;
border-top:2.5px solid var(--hue)}
.legend i.dash{border-top-style:dashed}
.legend i.dot{width:9px;height:9px;border:0;border-radius:50%;background:var(--hue)}
.legend i.band{height:11px;border:0;background:var(--band);border:1px solid var(--line)}
.first{--hue:var(--first)}.second{--hue:var(--second)}.warning{--hue:var(--warning)}
.bad{--hue:var(--bad)}.quiet{--hue:var(--quiet)}
svg.chart{display:block;width:100%;height:auto;overflow:visible;touch-action:pan-y}
svg text{fill:var(--soft);font-size:13px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums}
svg .label{fill:var(--ink)}
svg .middle{text-anchor:middle}svg .end{text-anchor:end}
svg .name{fill:var(--hue);font-size:12px;paint-order:stroke;stroke:var(--bg);stroke-width:4px;
stroke-linejoin:round}
.grid{stroke:var(--grid)}.axis{stroke:var(--soft)}
.level{stroke:var(--hue);stroke-width:1.2;stroke-dasharray:5 4}
.curve{fill:none;stroke:var(--hue);stroke-width:2.2;stroke-linejoin:round}
.dashed{stroke-dasharray:6 5;stroke-width:1.4}
path.band{fill:var(--band)}
.points circle{fill:var(--hue);fill-opacity:.55}
.ring{fill:none;stroke:var(--ink);stroke-width:2;visibility:hidden}
.ring.on{visibility:visible}
svg.chart:focus{outline:none}
svg.chart:focus-visible,.scroll:focus-visible,a:focus-visible{outline:2px solid var(--link);
outline-offset:3px;border-radius:4px}
.paper{background:#fff;border:1px solid var(--line);border-radius:10px;padding:12px;
display:inline-block;max-width:none}
.paper svg{display:block}
.paper svg text{font-size:revert-layer;fill:revert-layer;font-family:revert-layer}
#tip{position:fixed;z-index:9;left:0;top:0;max-width:min(320px,92vw);pointer-events:none;
background:var(--ink);color:var(--bg);border-radius:8px;padding:8px 12px;font-size:.84rem;
line-height:1.4;box-shadow:0 4px 16px rgb(0 0 0/.25);font-variant-numeric:tabular-nums}
#tip[hidden]{display:none}
#tip div{display:flex;justify-content:space-between;gap:16px}
#tip div:first-child{font-weight:700}
#tip span{overflow-wrap:anywhere}
footer{padding-top:20px;padding-bottom:48px}
@media (max-width:560px){
header,main,footer{padding-left:16px;padding-right:16px}
header{padding-top:24px}h1{font-size:1.5rem}
.answer{padding:16px 18px}.answer .found{font-size:1.18rem}
dl.tiles{grid-template-columns:1fr 1fr;gap:10px}.tiles div{padding:10px 12px}
.tiles dd{font-size:1.15rem}
svg.chart text{font-size:16px}svg.chart .name{font-size:15px}
.points circle{r:4.2}
th,td{padding-right:14px}
.stacked thead{display:none}.stacked,.stacked tbody{display:block}
.stacked tr{display:flex;flex-wrap:wrap;gap:0 .5em;padding:8px 0;
border-bottom:1px solid var(--grid)}
.stacked th,.stacked td{border:0;padding:0;min-width:0;text-align:left}
.stacked th,.stacked td:last-child{flex:0 0 100%}
.stacked td:nth-child(2){font-weight:600}
.stacked td:nth-child(3):not(:empty)::before{content:"± "}
.stacked td:last-child{color:var(--soft);font-size:.88rem}}
"""
    f"@media print{{:root{{color-scheme:light;{_LIGHT}}}"
    """
@page{margin:16mm 14mm}
body{font-size:10.5pt}
header,main,footer{max-width:none;padding:0}header{padding-top:0}
#tip,.ring,nav,.keys{display:none!important}
section{break-inside:auto;padding:14px 0}
h2,h3,figcaption,.note{break-after:avoid}
figure,tr,.answer,.tiles div{break-inside:avoid}
.charts{grid-template-columns:1fr 1fr;gap:18px 24px}
.scroll{overflow:visible}table,.note,figcaption p,.legend{font-size:8.8pt}
svg.chart text{font-size:15px}th,td{padding-right:10px}
.short,thead th,thead th.number{white-space:normal}td.wide{min-width:0}th{overflow-wrap:anywhere}
.answer,.tiles div{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.paper{max-width:100%;padding:0;border:0}.paper svg{max-width:100%;height:auto}
a{color:inherit;text-decoration:none}}
"""
)
"""The whole of it; colors are variables, so that drawings follow the reader's choice."""
