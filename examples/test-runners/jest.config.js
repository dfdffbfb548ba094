export default {
	rootDir: ".",
	maxWorkers: 2,
	testRegex: "\\.test\\.ts$",
	// forksafe is made of ES modules: jest has to be run with NODE_OPTIONS=--experimental-vm-modules.
	extensionsToTreatAsEsm: [".ts"],
	transform: { "\\.ts$": "./strip-types.js" },
	// Only in this repository, where forksafe's packages are TypeScript as well.
	testEnvironmentOptions: { customExportConditions: ["@forksafe/source", "node", "node-addons"] },
};
