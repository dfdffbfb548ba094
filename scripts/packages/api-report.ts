/** What each entry point of a package exports, as a text that is committed, so that no change of it goes unnoticed. */
import { mkdirSync } from "node:fs";
import { join, relative } from "node:path";
import { Extractor, ExtractorConfig, ExtractorLogLevel, type IConfigFile } from "@microsoft/api-extractor";
import { root } from "../../test/support/packed-packages.ts";
import type { WorkspacePackage } from "./workspace-package.ts";

/**
 * Writes the reports to `etc/`, or compares them with those that are there. The package has to be built.
 *
 * @returns what is not right
 */
export function apiReports({ name, directory, manifest }: WorkspacePackage, action: "write" | "compare"): string[] {
	return Object.entries(manifest.exports ?? {}).flatMap(([path, target]) => {
		if (typeof target === "string") return [];
		const file = `${[name, ...path.split("/").slice(1)].join("-")}.api.md`;
		return apiReport(directory, target.types, file, action);
	});
}

function apiReport(directory: string, entry: string, file: string, action: "write" | "compare"): string[] {
	const path = relative(root, join(directory, "etc", file));
	const complaints: string[] = [];
	mkdirSync(join(directory, "etc"), { recursive: true });
	const { apiReportChanged, succeeded } = Extractor.invoke(configuration(directory, entry, file), {
		localBuild: action === "write",
		messageCallback: (message) => {
			message.handled = true;
			if (message.logLevel === ExtractorLogLevel.Error) complaints.push(`${path}: ${message.text}`);
		},
	});
	if (complaints.length > 0) return complaints;
	if (action === "write") return [];
	if (apiReportChanged) return [`${path} is out of date: run \`npx -y pnpm@12 api\`, and look at what has changed`];
	return succeeded ? [] : [`${path}: API Extractor failed and did not say why`];
}

function configuration(directory: string, entry: string, file: string): ExtractorConfig {
	const configObject: IConfigFile = {
		projectFolder: directory,
		mainEntryPointFilePath: join(directory, entry),
		// It reads by the TypeScript 6 that it brings: what TypeScript 7 has built, not the sources.
		compiler: {
			overrideTsconfig: {
				compilerOptions: {
					target: "es2023",
					module: "nodenext",
					lib: ["es2023", "esnext.disposable"],
					types: ["node"],
					strict: true,
					skipLibCheck: true,
				},
				include: ["dist"],
			},
		},
		apiReport: {
			enabled: true,
			reportFileName: file,
			reportFolder: "<projectFolder>/etc",
			reportTempFolder: "<projectFolder>/node_modules/.api",
			// What an export mentions is part of what users see.
			includeForgottenExports: true,
		},
		docModel: { enabled: false },
		dtsRollup: { enabled: false },
		tsdocMetadata: { enabled: false },
		newlineKind: "lf",
		messages: {
			// Whether comments say enough is not asked here.
			compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
			extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
			tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
		},
	};
	return ExtractorConfig.prepare({
		configObject,
		configObjectFullPath: undefined,
		packageJsonFullPath: join(directory, "package.json"),
	});
}
