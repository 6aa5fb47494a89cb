// What the server gives and takes (docs/cli/serve.md).

export interface Model { id: string; head: string; loss: string; untrained: boolean }
export interface Scored {
  index: number;
  score: number | null;
  probability?: number | null;
  truncated: boolean;
  error: { reason: string; message: string } | null;
  rank: number | null;
}
export interface Ranking { reward: string; scores: Scored[]; failed: number }
export interface Voting { prompts: number; images: number; choices: number; strategy: string; guideline: string | null }
export interface ShownImage { uid: string; url: string }
export interface ShownSet { id: string; prompt: string; images: ShownImage[] }
export interface Progress { votes: number; ties: number; skipped: number }
export interface NextSet { set: ShownSet | null; progress: Progress }
export interface Share { value: number | null; low: number | null; high: number | null; n: number; more: number | null }
export interface Person {
  user: string; votes: number; ties: number; skipped: number; median_ms: number | null; with_others: Share; first: Share;
}
export interface Watch {
  votes: number; ties: number; skipped: number; people: number;
  between_people: Share;
  with_rewards: { reward: string; agreement: Share; chance: number }[];
  places: { choices: number; chosen: number[]; first: Share; unbiased: number }[];
  speed_ms: { p10: number | null; median: number | null; p90: number | null };
  by_person: Person[];
}
export interface Report {
  name: string; written_ms: number; n: number | null; pair_accuracy: number | null; accuracy: number | null; warnings: number | null;
}

/** What the server says went wrong, or that it did not answer (status 0). */
export class Failure extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Failure(0, "The server does not answer.");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Failure(answer.status, body?.error?.message ?? `The server answered ${answer.status}.`);
  return body as T;
}

function post<T>(path: string, body: unknown, token?: string): Promise<T> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token) headers["Session-Token"] = token;
  return ask<T>(path, { method: "POST", headers, body: JSON.stringify(body) });
}

export const api = {
  models: () => ask<{ data: Model[] }>("/v1/models").then((answer) => answer.data),
  rank: (rewards: string[], prompt: string, images: string[]) =>
    post<{ results: Ranking[] }>("/v1/rank", { rewards, prompt, images }).then((answer) => answer.results),
  voting: () => ask<Voting>("/v1/voting"),
  startSession: (session: { user: string; choices: number; agreed: boolean }) =>
    post<{ token: string; choices: number }>("/v1/sessions", session),
  nextSet: (token: string) => ask<NextSet>("/v1/sets/next", { headers: { "Session-Token": token } }),
  vote: (token: string, vote: { set: string; choice: string | null; skipped: boolean; ms: number }) =>
    post<{ progress: Progress }>("/v1/votes", vote, token),
  undo: (token: string) => post<NextSet>("/v1/undo", {}, token),
  watch: (halfWidth: number) => ask<Watch>(`/v1/watch?half_width=${halfWidth}`),
  reports: () => ask<{ reports: Report[] }>("/v1/reports").then((answer) => answer.reports),
};

export const messageOf = (problem: unknown) => (problem instanceof Error ? problem.message : String(problem));
