import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		pool: "forks", // or --pool=threads
		maxWorkers: 2,
		globals: true,
		include: ["test-runners/*.test.ts"],
	},
	// Only in this repository, where forksafe's packages are TypeScript as well.
	ssr: { resolve: { conditions: ["@forksafe/source", ...defaultServerConditions] } },
});
