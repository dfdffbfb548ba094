import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Chart, Mark } from "../bench/chart.ts";
import { coloursOf, darkStyle, paper } from "./colours.ts";

type Layers = Extract<TopLevelSpec, { layer: unknown }>["layer"];

const FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif";
const PANEL_WIDTH = 300;
const ONLY_PANEL_WIDTH = 560;
const LINE_HEIGHT = 24;
const LINES_SIZE = { width: 620, height: 340 };
/** Of names on the left side, in pixels: nothing is cut off. */
const LONGEST_LABEL = 400;

/** @returns an SVG, of one line for each element or so */
export async function drawChart(chart: Chart): Promise<string> {
	const { spec } = compile(specOf(chart));
	const svg = await new View(parse(spec), { renderer: "none" }).toSVG();
	const titled = svg.replace(
		/<svg [^>]*>/,
		(open) => `${open.replace("<svg ", '<svg role="img" ')}<title>${escaped(chart.title)}</title>${darkStyle()}`,
	);
	return `${titled.replaceAll("><", ">\n<")}\n`;
}

function specOf(chart: Chart): TopLevelSpec {
	const panels = [...new Set(chart.marks.map(({ panel }) => panel))];
	const series = [...new Set(chart.marks.map((mark) => mark.series))];
	const colour = {
		field: "series",
		type: "nominal" as const,
		scale: { domain: series, range: coloursOf(series) },
		legend: {
			title: null,
			orient: "bottom" as const,
			columns: chart.shape === "dots" ? series.length : 2,
			labelLimit: LONGEST_LABEL,
		},
	};
	return {
		title: { text: chart.title, subtitle: chart.subtitle.split("; "), anchor: "start", offset: 16, subtitlePadding: 6 },
		background: paper.background.light,
		padding: 16,
		columns: 2,
		spacing: 28,
		config: {
			font: FONT,
			title: { color: paper.text.light, subtitleColor: paper.quiet.light, fontSize: 15, subtitleFontSize: 12 },
			axis: {
				labelColor: paper.text.light,
				titleColor: paper.quiet.light,
				titleFontWeight: "normal",
				gridColor: paper.grid.light,
				domainColor: paper.grid.light,
				tickColor: paper.grid.light,
				labelLimit: LONGEST_LABEL,
				labelFontSize: 12,
			},
			legend: { labelColor: paper.text.light, labelFontSize: 12 },
			view: { stroke: null },
		},
		concat: panels.map((panel) => {
			const marks = chart.marks.filter((mark) => mark.panel === panel);
			const size =
				chart.shape === "dots"
					? { width: panels.length === 1 ? ONLY_PANEL_WIDTH : PANEL_WIDTH, height: { step: LINE_HEIGHT } }
					: LINES_SIZE;
			const heading = panel === "" ? {} : { title: { text: panel, fontSize: 13, anchor: "start" as const } };
			const data = { values: marks.map((mark) => ({ ...mark, label: labelOf(mark) })) };
			return { ...heading, ...size, data, layer: chart.shape === "dots" ? dots(chart, colour) : lines(chart, marks, colour) };
		}),
	} as TopLevelSpec;
}

/** A line for each name, and its value beside it. */
function dots({ valueTitle, isLogarithmic }: Chart, colour: object): Layers {
	const y = { field: "at", type: "nominal" as const, sort: null, axis: { title: null, grid: true, ticks: false, domain: false } };
	const x = {
		field: "median",
		type: "quantitative" as const,
		scale: scaleOf(isLogarithmic),
		axis: { title: valueTitle, grid: !isLogarithmic, tickCount: 5, format: "~s" },
	};
	return [
		{
			mark: { type: "rule", strokeWidth: 2 },
			encoding: { y, x: { ...x, field: "lower" }, x2: { field: "upper" }, color: colour },
		},
		{ mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { y, x, color: colour } },
		{
			mark: { type: "text", align: "left", dx: 8, color: paper.text.light, fontSize: 11 },
			encoding: { y, x: { ...x, field: "upper" }, text: { field: "label", type: "nominal" } },
		},
	] as Layers;
}

/** A line for each series, over what it grows with. */
function lines({ valueTitle, growthTitle, isLogarithmic }: Chart, marks: readonly Mark[], colour: object): Layers {
	const sizes = [...new Set(marks.map(({ at }) => at))];
	const x = {
		field: "at",
		type: "quantitative" as const,
		scale: { type: "log" as const },
		axis: { title: growthTitle, values: sizes, grid: false, format: "," },
	};
	const y = {
		field: "median",
		type: "quantitative" as const,
		scale: scaleOf(isLogarithmic),
		axis: { title: valueTitle, format: "," },
	};
	const shape = { ...colour, scale: { domain: [...new Set(marks.map(({ series }) => series))] } };
	return [
		{ mark: { type: "line", strokeWidth: 2 }, encoding: { x, y, color: colour } },
		{
			mark: { type: "rule", strokeWidth: 1.5 },
			encoding: { x, y: { ...y, field: "lower" }, y2: { field: "upper" }, color: colour },
		},
		{ mark: { type: "point", filled: true, size: 60, opacity: 1 }, encoding: { x, y, color: colour, shape } },
	] as Layers;
}

function scaleOf(isLogarithmic: boolean): object {
	return isLogarithmic ? { type: "log" } : { type: "linear", zero: true };
}

function labelOf({ median }: Mark): string {
	return Number(median.toPrecision(3)).toLocaleString("en-US");
}

function escaped(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
