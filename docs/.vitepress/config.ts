import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type DefaultTheme, defineConfig } from "vitepress";
import { repositoryLinks } from "./repository-links.ts";
import { sitePath, slug } from "./site-path.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const fromVitePress = createRequire(import.meta.resolve("vitepress")).resolve;
const packages = ["core", "pg", "knex", "kysely", "mysql2", "sentinel", "cluster"];

export default defineConfig({
	title: "forksafe",
	description: "Connection pools for Node.js that stay correct in every process that ends up holding them",
	lang: "en",
	srcDir: "..",
	// Everything but what `sitePath` knows: the READMEs, ARCHITECTURE.md, and docs.
	srcExclude: [
		"!(README|ARCHITECTURE).md",
		"{scripts,test}/**",
		"examples/!(README.md)/**",
		"packages/*/!(README).md",
		"packages/*/*/**",
		"**/node_modules/**",
	],
	rewrites: (file) => sitePath(file) ?? file,
	outDir: ".vitepress/dist",
	cacheDir: ".vitepress/cache",
	// Pages that stand above this package would not find it.
	vite: {
		// The index of the search, which is loaded when somebody searches.
		build: { chunkSizeWarningLimit: 2_000 },
		resolve: {
			alias: [
				{ find: "vue/server-renderer", replacement: fromVitePress("vue/server-renderer") },
				{ find: /^vue$/, replacement: fromVitePress("vue/dist/vue.runtime.esm-bundler.js") },
			],
		},
	},
	router: { prefetchLinks: false },
	// In place of /favicon.ico, for which a browser asks otherwise.
	head: [["link", { rel: "icon", href: "data:," }]],
	markdown: {
		anchor: { slugify: slug },
		config: (markdown) => repositoryLinks(markdown, root),
	},
	themeConfig: {
		search: { provider: "local" },
		outline: [2, 3],
		nav: [
			{ text: "Guides", link: "/packages/knex" },
			{ text: "Contract", link: "/contract" },
			{ text: "FAQ", link: "/faq" },
			{ text: "API", link: "/api/" },
		],
		sidebar: {
			"/": [
				{
					text: "Start",
					items: pages({
						forksafe: "README.md",
						Options: "docs/options.md",
						Errors: "docs/errors.md",
						Contract: "docs/contract.md",
						FAQ: "docs/faq.md",
					}),
				},
				{
					text: "Guides",
					items: pages({
						Knex: "packages/knex/README.md",
						Kysely: "packages/kysely/README.md",
						pg: "packages/pg/README.md",
						"MySQL and MariaDB": "packages/mysql2/README.md",
						"Moving over": "docs/guides/moving-over.md",
						Compatibility: "docs/compatibility.md",
						"Prepared statements": "docs/prepared-statements.md",
					}),
				},
				{
					text: "Processes",
					items: pages({
						Overview: "docs/lifecycles.md",
						"Pre-fork servers": "docs/guides/pre-fork.md",
						Snapshots: "docs/guides/snapshots.md",
						"Serverless, checkpoints": "docs/guides/serverless.md",
						"PM2, cluster, threads": "docs/guides/pm2.md",
						Examples: "examples/README.md",
					}),
				},
				{
					text: "Servers",
					items: pages({
						PgBouncer: "docs/pgbouncer.md",
						"How many connections": "docs/sizing.md",
						"One budget": "packages/cluster/README.md",
					}),
				},
				{
					text: "Reference",
					items: [
						...pages({
							"The engine": "packages/core/README.md",
							"The sentinel": "packages/sentinel/README.md",
							Benchmarks: "docs/benchmarks/README.md",
							Architecture: "ARCHITECTURE.md",
						}),
						{ text: "API", link: "/api/" },
					],
				},
			],
			"/api/": [
				{ text: "API", link: "/api/" },
				...packages.map((name) => ({
					text: `@forksafe/${name}`,
					link: `/api/@forksafe/${name}/`,
					collapsed: true,
					items: exportsOf(`docs/api/@forksafe/${name}`),
				})),
			],
		},
	},
});

/** Those of the files that there are. */
function pages(files: Readonly<Record<string, string>>): DefaultTheme.SidebarItem[] {
	return Object.entries(files)
		.filter(([, file]) => existsSync(`${root}${file}`))
		.map(([text, file]) => ({ text, link: linkTo(file) }));
}

/** Every page that typedoc has written for a package. */
function exportsOf(directory: string): DefaultTheme.SidebarItem[] {
	if (!existsSync(`${root}${directory}`)) return [];
	return readdirSync(`${root}${directory}`, { recursive: true, encoding: "utf8" })
		.filter((file) => file.endsWith(".md") && !file.endsWith("index.md"))
		.sort()
		.map((file) => ({
			text: file.replace(/^.*\//, "").replace(/\.md$/, ""),
			link: linkTo(`${directory}/${file}`),
		}));
}

function linkTo(file: string): string {
	return `/${sitePath(file)}`.replace(/(index)?\.md$/, "");
}
