package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hostctl/planner"
)

func graphVerb(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Draw what the repository becomes, and what needs what: DOT or SVG",
		Long:  `graph prints the objects that the repository becomes on an empty platform, and an arrow from each to what it needs.`,
		Example: `  hostctl graph -C hosting | dot -Tpdf > hosting.pdf
  hostctl graph -C hosting -format svg > hosting.svg`,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args:              noOperands,
		RunE: func(cmd *cobra.Command, _ []string) error {
			draw, ok := map[string]func(io.Writer, []planner.Object) error{"dot": writeDOT, "svg": writeSVG}[format]
			if !ok {
				return fmt.Errorf("no format %q; there are dot and svg", format)
			}
			objects, err := o.desired(cmd)
			if err != nil {
				return o.explain(err)
			}
			return draw(o.out, objects)
		},
	}
	cmd.Flags().StringVar(&format, "format", "dot", "the `format`: dot or svg")
	return cmd
}

// desired returns the objects that the repository becomes on an empty platform, from the bottom of the ladder up.
func (o *options) desired(cmd *cobra.Command) ([]planner.Object, error) {
	empty := *o
	empty.state = ""
	p, err := empty.plan(cmd.Context(), "")
	if err != nil {
		return nil, err
	}
	var objects []planner.Object
	for _, c := range p.Changes {
		if c.New != nil {
			objects = append(objects, c.New)
		}
	}
	slices.SortFunc(objects, func(a, b planner.Object) int { return a.Ref().Compare(b.Ref()) })
	return objects, nil
}

func writeDOT(w io.Writer, objects []planner.Object) error {
	var b strings.Builder
	b.WriteString("digraph hostctl {\n  rankdir=BT;\n  node [shape=box, fontname=\"sans-serif\", fontsize=10];\n")
	for _, o := range objects {
		fmt.Fprintf(&b, "  %q;\n", o.Ref())
		for _, n := range o.Needs() {
			fmt.Fprintf(&b, "  %q -> %q;\n", o.Ref(), n)
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// The sizes of a drawing, in pixels.
const (
	boxWidth, boxHeight = 260, 22
	gapX, gapY          = 20, 60
	boxesAcross         = 6
)

// writeSVG draws a row of boxes for each rung of the ladder, the lowest at the bottom, and a line for each need.
func writeSVG(w io.Writer, objects []planner.Object) error {
	at, width, height := layOut(objects)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="10">`+"\n", width, height)
	for _, o := range objects {
		from := at[o.Ref()]
		for _, n := range o.Needs() {
			to := at[n]
			fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#bbb"/>`+"\n",
				from.x+boxWidth/2, from.y+boxHeight, to.x+boxWidth/2, to.y)
		}
	}
	for _, o := range objects {
		p := at[o.Ref()]
		fmt.Fprintf(&b, `<g><rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="#eef" stroke="#669"/><text x="%d" y="%d">%s</text></g>`+"\n",
			p.x, p.y, boxWidth, boxHeight, p.x+6, p.y+15, escapeXML(o.Ref().String()))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

type point struct{ x, y int }

// layOut places the boxes; rungs that nobody stands on take no room.
func layOut(objects []planner.Object) (at map[planner.Ref]point, width, height int) {
	rows := map[planner.Kind][]planner.Ref{}
	for _, o := range objects {
		rows[o.Ref().Kind] = append(rows[o.Ref().Kind], o.Ref())
	}
	at = map[planner.Ref]point{}
	y := gapY / 2
	for _, kind := range slices.Backward(planner.Ladder) {
		for i, ref := range rows[kind] {
			at[ref] = point{gapX + i%boxesAcross*(boxWidth+gapX), y + i/boxesAcross*(boxHeight+6)}
			width = max(width, at[ref].x+boxWidth+gapX)
		}
		if n := len(rows[kind]); n > 0 {
			y += (n+boxesAcross-1)/boxesAcross*(boxHeight+6) + gapY
		}
	}
	return at, width, y
}

func escapeXML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
