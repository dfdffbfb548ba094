/** What the application can do, whichever library it is written in. */
export interface Application {
	/** Asks a question that only one answer is right to: itself. The query takes as long as it is told. */
	read(question: string, millis: number): Promise<Answer | undefined>;
	/** Moves money from one account to another, in a transaction. Answers with the transfer's own id. */
	transfer(transfer: Transfer): Promise<Answer | undefined>;
	/** Ends the pool, as an application does that shuts down in good order. */
	end(): Promise<void>;
}

/** What the server has answered, and through which of its backends. */
export interface Answer {
	readonly answer: string;
	readonly backend: number;
}

export interface Transfer {
	/** Chosen by the caller. The table lets an id in twice: a second execution has to be seen, not refused. */
	readonly id: string;
	readonly from: number;
	readonly to: number;
	readonly amount: number;
}

/** What a transfer does to which account; in the order of their ids, so that no two transfers wait for each other. */
export function postings({ from, to, amount }: Transfer): { readonly account: number; readonly change: number }[] {
	return [
		{ account: from, change: -amount },
		{ account: to, change: amount },
	].sort((a, b) => a.account - b.account);
}
