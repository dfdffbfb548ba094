/** What the demo shows on Linux, and what is to be expected elsewhere. */
export const otherPlatforms = `\
On other platforms
  Linux    x64, arm64: what you see here, with real forks. Other machines: the packages work the same, but the demo
           cannot fork Node there.
  macOS    Real forks of Node are not shown. forksafe notices one by process.ppid, at the next use of a pool, and
           asks a diagnostic report for the true pid (5 to 20 ms, only then). Call afterFork(): it does so at once.
  Windows  There is no fork, so nothing of the above can happen. Start-up snapshots, and a change that the
           application reports (reportProcessChange(), for restored or cloned machines), are handled as elsewhere.`;

/** What is said where nothing can be shown. */
export function nothingProven(reason: string): string {
	return `\
This demo forks Node processes for real, and here it cannot: ${reason}.
NOTHING WAS RUN AND NOTHING WAS PROVEN on this machine.

${otherPlatforms}

To see it, run the demo on Linux x64 or arm64 (a container will do).`;
}
