#!/bin/sh
# memhp lockgraph --svg with the real dot: a picture that an XML parser reads, with the
# cycle in red and tooltips.
. "$(dirname "$0")/lib.sh"
need dot python3
memhp lockgraph --era seed-000-before --svg -o picture.svg
python3 - picture.svg <<'PYTHON'
import sys, xml.etree.ElementTree as xml
svg = "{http://www.w3.org/2000/svg}"
edges = [g for g in xml.parse(sys.argv[1]).iter(svg + "g") if g.get("class") == "edge"]
red = [g for g in edges if any(path.get("stroke") == "red" for path in g.iter(svg + "path"))]
assert len(edges) > 50, len(edges)
assert 3 <= len(red) < len(edges), len(red)
assert any("held at" in str(a.attrib) for g in red for a in g.iter(svg + "a"))
PYTHON
memhp lockgraph --svg >picture.svg
expect_line picture.svg "</svg>"
expect_no_line picture.svg 'stroke="red"'
