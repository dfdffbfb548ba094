/** Okabe and Ito's colours, which the colour-blind can tell apart, each with what it becomes on a dark page. */
import { FORKSAFE, PEERS, type Series, YARDSTICK } from "../bench/chart.ts";

interface Colour {
	readonly light: string;
	readonly dark: string;
}

const BLUE: Colour = { light: "#0072b2", dark: "#56b4e9" };
const VERMILION: Colour = { light: "#d55e00", dark: "#ff8a3d" };
const GREY: Colour = { light: "#6e7781", dark: "#9aa4af" };

/** Of what is no data. */
export const paper = {
	background: { light: "#ffffff", dark: "#10151c" },
	text: { light: "#1b1f24", dark: "#e6edf3" },
	quiet: { light: "#57606a", dark: "#a9b4c0" },
	grid: { light: "#dfe4e9", dark: "#2c333c" },
} as const satisfies Record<string, Colour>;

const roles: Readonly<Record<Series, Colour>> = { [FORKSAFE]: BLUE, [PEERS]: VERMILION, [YARDSTICK]: GREY };

/** Of forksafe, others, and the yardsticks, where more than three are drawn. */
const families: readonly { readonly includes: (series: Series) => boolean; readonly colours: readonly Colour[] }[] = [
	{
		includes: (series) => series.includes("forksafe"),
		colours: [BLUE, { light: "#2a9df4", dark: "#a6d8ff" }, { light: "#004a75", dark: "#2f8fcf" }],
	},
	{ includes: (series) => series.startsWith("array stack"), colours: [GREY] },
	{
		includes: () => true,
		colours: [
			VERMILION,
			{ light: "#009e73", dark: "#2fd3a5" },
			{ light: "#b06a9a", dark: "#e39ac9" },
			{ light: "#b8860b", dark: "#f0c94a" },
		],
	},
];

/** For each of these the colour on a light page. @throws Error when there are more than colours */
export function coloursOf(series: readonly Series[]): string[] {
	const taken = new Map(families.map((family) => [family, 0]));
	return series.map((one) => {
		const role = roles[one];
		if (role !== undefined) return role.light;
		const family = families.find(({ includes }) => includes(one));
		const next = (family && taken.get(family)) ?? 0;
		const colour = family?.colours[next];
		if (family === undefined || colour === undefined) throw new Error(`no colour is left for "${one}"`);
		taken.set(family, next + 1);
		return colour.light;
	});
}

/** Whoever shows the picture, background and text change together. */
export function darkStyle(): string {
	const all = [...Object.values(paper), ...Object.values(roles), ...families.flatMap(({ colours }) => colours)];
	const rules = [...new Map(all.map(({ light, dark }) => [light, dark]))].flatMap(([light, dark]) =>
		["fill", "stroke"].map((kind) => `[${kind}="${light}"]{${kind}:${dark}}`),
	);
	return `<style>@media (prefers-color-scheme: dark){${rules.join("")}}</style>`;
}
