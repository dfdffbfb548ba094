/** All that an application may ask its queries through. Each is loaded when it is opened: nothing else is compiled then. */
import { FORKSAFE, PEERS, type Series } from "./chart.ts";
import type { Kind } from "./query-tables.ts";

/** A library over an open pool. */
export interface OpenFace {
	readonly ask: Readonly<Record<Kind, (id: number) => PromiseLike<unknown>>>;
	end(): Promise<void>;
}

export interface FaceOptions {
	readonly url: string;
	/** The most connections. */
	readonly max: number;
	readonly pool: PoolKind;
	readonly style: Style;
}

/** The library's own pool, or forksafe's: as it comes, or with named statements. */
export type PoolKind = "own" | "forksafe" | "prepare";
export type Style = "raw" | "builder";

/** Those that forksafe has a pool for ... */
export const libraries = ["pg", "Knex", "Kysely"] as const;
export type Library = (typeof libraries)[number];
/** ... and those that bring their own. */
const others = ["postgres.js", "slonik", "pg-promise"] as const;

export interface Face {
	readonly name: string;
	readonly library: Library | (typeof others)[number];
	readonly pool: PoolKind;
	readonly style: Style;
}

/** Those that are measured. */
const POOLS: readonly PoolKind[] = ["own", "forksafe", "prepare"];
const SUFFIX: Record<PoolKind, string> = { own: "", forksafe: " over forksafe", prepare: " over forksafe, prepare" };

/** pg has no builder, and of those that forksafe has no pool for, the way that their manuals show is asked. */
export const faces: readonly Face[] = [
	...libraries.flatMap((library) =>
		(library === "pg" ? (["raw"] as const) : (["raw", "builder"] as const)).flatMap((style) =>
			POOLS.map((pool): Face => ({ name: nameOf(library, style, pool), library, pool, style })),
		),
	),
	...others.map((library): Face => ({ name: library, library, pool: "own", style: "raw" })),
];

/** Each library once over each pool. */
export const rawFaces = faces.filter(({ style }) => style === "raw");

export function nameOf(library: Library, style: Style, pool: PoolKind): string {
	return `${library}${library === "pg" ? " Pool" : ` ${style}`}${SUFFIX[pool]}`;
}

/** In which colour it is drawn. */
export function faceSeries({ pool }: Face): Series {
	return pool === "own" ? PEERS : FORKSAFE;
}

/** @throws Error when there is none of this name */
export async function openFace(name: string, url: string, max: number): Promise<OpenFace> {
	const face = faces.find((one) => one.name === name);
	if (face === undefined) throw new Error(`no face is called "${name}"; there are ${faces.map((one) => one.name).join("; ")}`);
	const { library, pool, style } = face;
	const options: FaceOptions = { url, max, pool, style };
	switch (library) {
		case "pg":
			return (await import("./pg-face.ts")).openPg(options);
		case "Knex":
			return (await import("./knex-face.ts")).openKnex(options);
		case "Kysely":
			return (await import("./kysely-face.ts")).openKysely(options);
		case "postgres.js":
			return (await import("./postgres-js-face.ts")).openPostgresJs(options);
		case "slonik":
			return (await import("./slonik-face.ts")).openSlonik(options);
		case "pg-promise":
			return (await import("./pg-promise-face.ts")).openPgPromise(options);
	}
}
