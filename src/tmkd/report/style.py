"""The frame and the looks of report.html: light and dark, wide and narrow, nothing loaded."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body><main>{body}</main></body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #111827; --muted: #5b6472; --line: #e5e7eb;
  --best: #ecfdf8; --teacher: #7c3aed; --ensemble: #b45309; --student: #0f766e }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --card: #161b22; --ink: #e6edf3; --muted: #9aa4b2;
  --line: #2b333d; --best: #0f2a27; --teacher: #b794ff; --ensemble: #f0b35f; --student: #3dd6c3 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 76rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1 { margin: 0 0 1rem; font-size: 2rem; line-height: 1.2; overflow-wrap: anywhere }
h2 { margin: 0 0 1rem; font-size: 1.25rem }
h3 { margin: 1.75rem 0 .75rem; font-size: 1rem }
.over { margin: 0; color: var(--student); font-size: .8rem; font-weight: 600;
  letter-spacing: .08em; text-transform: uppercase }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 0 }
.facts div { min-width: 0 }
dt, .told, figcaption, .cards span { color: var(--muted); font-size: .85rem }
dd { margin: 0; overflow-wrap: anywhere }
section { margin-top: 1.5rem; padding: 1.5rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem;
  margin-bottom: 1.5rem }
.cards div { padding: .9rem 1rem; border: 1px solid var(--line); border-radius: 10px }
.cards b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums;
  white-space: nowrap }
th, td { padding: .4rem .55rem; border-bottom: 1px solid var(--line); text-align: right }
td small { display: block; color: var(--muted); font-size: .72rem; font-weight: 400; line-height: 1.1 }
th:first-child { text-align: left }
thead th { color: var(--muted); font-weight: 500 }
tbody th { font-weight: 500 }
tr.best > * { background: var(--best); font-weight: 650 }
i { display: inline-block; width: .6rem; height: .6rem; margin-right: .5rem; border-radius: 50% }
i.teacher { background: var(--teacher) }
i.ensemble { background: var(--ensemble) }
i.student { background: var(--student) }
.badge { margin-left: .35rem; padding: .1rem .5rem; border-radius: 1rem; background: var(--student); color: var(--card);
  font: 600 .7rem/1.4 system-ui, sans-serif }
.told { margin: .6rem 0 0 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.5rem;
  margin-top: 1.5rem }
figure { margin: 0 }
svg { width: 100%; height: auto }
svg text { font-family: system-ui, sans-serif !important }
ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere }
"""
