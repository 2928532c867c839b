"""The style sheet of the report: one column on a phone, charts beside tables on a screen, black on white on paper."""

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif;margin:0 auto;
 max-width:76rem;padding:1rem;color:#222;background:#fff;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .5rem;padding-top:.5rem;border-top:2px solid #222}
h3{font-size:1.05rem;margin:1.75rem 0 .5rem}
p,ul,ol{max-width:46rem;margin:.5rem 0}
li{margin:.35rem 0}
a{color:#00538a}
small{font-size:.85em;color:#444;white-space:nowrap}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;max-width:none}
nav li{margin:0}
.findings>li{margin:.9rem 0}
.findings strong{display:block}
.evidence{font-size:.9em;color:#444}
.pair{margin:1rem 0 1.75rem}
.chart{max-width:27rem}
svg{display:block;width:100%;height:auto;font-family:inherit;overflow:visible}
table{border-collapse:collapse;font-size:.85rem;line-height:1.35;font-variant-numeric:tabular-nums;margin:.75rem 0;
 max-width:100%}
caption{text-align:left;color:#444;padding:.25rem 0;max-width:46rem}
th,td{padding:.2rem .6rem .2rem 0;vertical-align:top;border-bottom:1px solid #ddd}
thead th{border-bottom:1px solid #222;vertical-align:bottom}
th{font-weight:600}
tbody th{font-weight:normal}
td.right,th.right{overflow-wrap:break-word}
.stacked thead th{overflow-wrap:anywhere}
th.left,td.left,.stacked thead th{min-width:4rem}
td.right,th.right{text-align:right}
td.left,th.left{text-align:left}
tbody+tbody{border-top:1px solid #bbb}
footer{margin-top:3rem;border-top:1px solid #bbb;color:#444;font-size:.85rem}
.pair>div{min-width:0}
.widest>div{overflow-x:auto}
@media (min-width:60rem){
 .pair:not(.wide):not(.widest){display:grid;grid-template-columns:24rem minmax(0,1fr);gap:0 2.5rem;align-items:start}
}
@media (min-width:77rem){
 .pair.wide{display:grid;grid-template-columns:24rem minmax(0,1fr);gap:0 2.5rem;align-items:start}
}
@media (max-width:40rem){
 body{padding:.75rem}
 table{width:100%}
 ol{padding-left:1.7rem}
 th,td{padding-right:.25rem}
 td.right:last-child,th.right:last-child{padding-right:0}
 .stacked thead{position:absolute;left:0;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
 .stacked tbody,.stacked tr,.stacked th,.stacked td{display:block;border:0}
 .stacked tbody{border-top:1px solid #bbb;padding:.35rem 0}
 .stacked tbody th{font-weight:600}
 .stacked td,.stacked td.right{text-align:right;padding:.05rem 0 .05rem .75rem}
 .stacked td::before{content:attr(data-label);float:left;max-width:55%;padding-right:1rem;color:#444;text-align:left;
  overflow-wrap:anywhere}
 .stacked td::after{content:"";display:block;clear:both}
}
@media print{
 @page{size:A4;margin:16mm 14mm}
 body{font-size:10pt;max-width:none;padding:0}
 nav{display:none}
 a{color:inherit;text-decoration:none}
 h2,h3,caption{break-after:avoid}
 .chart,tr,li,p{break-inside:avoid}
 thead{display:table-header-group}
 .pair:not(.wide):not(.widest){display:grid;grid-template-columns:8.2cm minmax(0,1fr);gap:0 .5cm;align-items:start}
 .pair.wide{display:block}
 table{font-size:7.5pt}
 svg,.chart{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""
