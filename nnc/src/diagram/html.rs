//! The drawing as a page: the SVG to drag and zoom, and a table of the slots.

use super::graph::Diagram;
use super::labels::grouped;
use super::svg::{escape, picture};
use nnc_ir::graph::{Module, SlotKind};
use std::fmt::Write as _;

const STYLE: &str = "body{margin:0;font:14px system-ui,sans-serif;color:#222;display:flex;height:100vh}\
#view{flex:1;overflow:hidden;cursor:grab;background:#fff}#view svg{transform-origin:0 0}\
aside{width:30em;overflow:auto;border-left:1px solid #ccc;padding:0 1em}\
table{border-collapse:collapse;width:100%}td,th{padding:.2em .4em;text-align:left;border-bottom:1px solid #eee}\
td.n{text-align:right}code{font-size:12px}";

const SCRIPT: &str = "const view=document.getElementById('view'),svg=view.querySelector('svg');let x=0,y=0,k=1,from=null;\
const show=()=>svg.style.transform=`translate(${x}px,${y}px) scale(${k})`;\
k=Math.min(1,view.clientWidth/svg.width.baseVal.value);show();\
view.onwheel=e=>{e.preventDefault();const f=Math.exp(-e.deltaY/500),r=view.getBoundingClientRect(),\
u=e.clientX-r.left,v=e.clientY-r.top;x=u-(u-x)*f;y=v-(v-y)*f;k*=f;show()};\
view.onpointerdown=e=>{from=[e.clientX-x,e.clientY-y];view.setPointerCapture(e.pointerId)};\
view.onpointermove=e=>{if(from){x=e.clientX-from[0];y=e.clientY-from[1];show()}};\
view.onpointerup=()=>from=null;";

/// A page that shows `diagram` and the slots of `module`.
pub fn page(diagram: &Diagram, module: &Module, name: &str) -> String {
    let mut rows = String::new();
    let mut total = 0;
    for slot in &module.slots {
        let size = slot.ty.size();
        let kind = match slot.kind {
            SlotKind::Weight => "weight",
            SlotKind::State => "state",
            SlotKind::Cache => "cache",
        };
        if slot.kind == SlotKind::Weight {
            total += size.as_constant().unwrap_or(0);
        }
        let elements = size.as_constant().map_or_else(|| size.to_string(), grouped);
        let (path, ty) = (escape(&slot.path), escape(&slot.ty.to_string()));
        let _ = writeln!(
            rows,
            "<tr><td><code>{path}</code></td><td>{kind}</td><td><code>{ty}</code></td><td class=\"n\">{elements}</td></tr>"
        );
    }
    let (name, svg, total) = (escape(name), picture(diagram, name), grouped(total));
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title><style>{STYLE}</style>\n\
         <div id=\"view\">{svg}</div>\n<aside><h2>{name}</h2><p>{total} parameters. Drag to move, turn the wheel to \
         zoom.</p>\n<table><tr><th>path</th><th>kind</th><th>type</th><th>elements</th></tr>\n{rows}</table></aside>\n\
         <script>{SCRIPT}</script></html>\n"
    )
}
