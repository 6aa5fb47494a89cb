import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, Failure, messageOf, type NextSet, type Progress, type ShownSet, type Voting } from "./api";
import { count, Problem } from "./parts";

const kTokenKey = "imagerank-session";

function Start({ voting, begin }: { voting: Voting; begin: (session: { user: string; choices: number; agreed: boolean }) => void }) {
  const [user, setUser] = useState("");
  const [choices, setChoices] = useState(voting.choices);
  const [agreed, setAgreed] = useState(false);
  const asked = voting.guideline !== null;
  return (
    <form class="card start" onSubmit={(event) => { event.preventDefault(); begin({ user: user.trim(), choices, agreed }); }}>
      <h1>Which image is best?</h1>
      <p>
        You see a prompt and images made from it, and say which is best, or that none is.
        There are {count(voting.images)} images for {count(voting.prompts)} prompts; stop whenever you like.
      </p>
      {asked ? <div class="guideline" tabIndex={0} role="region" aria-label="Guideline">{voting.guideline}</div> : null}
      <label class="field">
        <span>A name, if you come back (only a hash of it is kept)</span>
        <input type="text" value={user} maxLength={60} autocomplete="nickname" onInput={(event) => setUser(event.currentTarget.value)} />
      </label>
      <fieldset>
        <legend>Images at once</legend>
        {[2, 4].map((each) => (
          <label class="check" key={each}>
            <input type="radio" name="choices" checked={choices === each} onChange={() => setChoices(each)} />
            <span>{each}</span>
          </label>
        ))}
      </fieldset>
      {asked ? (
        <label class="check">
          <input type="checkbox" checked={agreed} onChange={() => setAgreed(!agreed)} />
          <span>I have read this, and agree</span>
        </label>
      ) : null}
      <p class="actions"><button type="submit" class="main" disabled={asked && !agreed}>Start</button></p>
    </form>
  );
}

interface Answer { choice: string | null; skipped: boolean }

function SetView({ set, progress, busy, answer, undo }: {
  set: ShownSet; progress: Progress; busy: boolean; answer: (answer: Answer) => void; undo: () => void;
}) {
  const first = progress.votes + progress.skipped === 0;
  // Before the set is painted: a quick key must not answer the one before.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const image = /^[1-4]$/.test(event.key) ? set.images[Number(event.key) - 1] : undefined;
      // A space on a focused button presses that button, as everywhere.
      const onButton = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement;
      if (image) answer({ choice: image.uid, skipped: false });
      else if (event.key === "0" || (event.key === " " && !onButton)) answer({ choice: null, skipped: false });
      else if (event.key === "s") answer({ choice: null, skipped: true });
      else if (event.key === "u") undo();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [set, answer, undo]);
  return (
    <>
      <h1 class="prompt">{set.prompt}</h1>
      <div class={`choices of${set.images.length}`} aria-busy={busy}>
        {set.images.map((image, index) => (
          <button type="button" class="choice" key={image.uid} disabled={busy} aria-label={`Image ${index + 1} is best`}
            onClick={() => answer({ choice: image.uid, skipped: false })}>
            <img src={image.url} alt="" draggable={false} />
            <kbd aria-hidden="true">{index + 1}</kbd>
          </button>
        ))}
      </div>
      <p class="actions">
        <button type="button" disabled={busy} onClick={() => answer({ choice: null, skipped: false })}>No preference <kbd aria-hidden="true">0</kbd></button>
        <button type="button" class="quiet" disabled={busy} onClick={() => answer({ choice: null, skipped: true })}>Skip <kbd aria-hidden="true">s</kbd></button>
        <button type="button" class="quiet" disabled={busy || first} onClick={undo}>Undo <kbd aria-hidden="true">u</kbd></button>
      </p>
    </>
  );
}

export function Choose() {
  const [voting, setVoting] = useState<Voting | null>(null);
  const [token, setToken] = useState<string | null>(() => sessionStorage.getItem(kTokenKey));
  const [next, setNext] = useState<NextSet | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const working = useRef(false);
  const shownAt = useRef(0);

  const leave = useCallback(() => {
    sessionStorage.removeItem(kTokenKey);
    setToken(null);
    setNext(null);
  }, []);
  const show = useCallback((found: NextSet) => {
    setNext(found);
    shownAt.current = performance.now();
  }, []);
  // One thing at a time: a key that is pressed twice is one vote.
  const run = useCallback(async (work: () => Promise<void>) => {
    if (working.current) return;
    working.current = true;
    setBusy(true);
    setProblem(null);
    try {
      await work();
    } catch (error) {
      if (error instanceof Failure && error.status === 401) leave();
      setProblem(messageOf(error));
    } finally {
      working.current = false;
      setBusy(false);
    }
  }, [leave]);

  useEffect(() => {
    api.voting().then(setVoting, (error) => setProblem(messageOf(error)));
  }, []);
  useEffect(() => {
    if (voting && token && !next) void run(async () => show(await api.nextSet(token)));
  }, [voting, token]);

  const begin = (session: { user: string; choices: number; agreed: boolean }) =>
    void run(async () => {
      const started = await api.startSession(session);
      sessionStorage.setItem(kTokenKey, started.token);
      show(await api.nextSet(started.token));
      setToken(started.token);
    });
  const answer = useCallback((given: Answer) => {
    if (!token || !next?.set) return;
    const set = next.set.id;
    const ms = Math.round(performance.now() - shownAt.current);
    void run(async () => {
      try {
        await api.vote(token, { set, ...given, ms });
      } catch (error) {
        // It was stored before, and only the answer was lost.
        if (!(error instanceof Failure && error.status === 409)) throw error;
      }
      show(await api.nextSet(token));
    });
  }, [token, next, run, show]);
  const undo = useCallback(() => {
    if (token) void run(async () => show(await api.undo(token)));
  }, [token, run, show]);

  if (!voting) return problem ? <><h1>Choose</h1><Problem text={problem} /></> : <p class="hint">Loading...</p>;
  if (!token || !next) {
    return <>{!token ? <Start voting={voting} begin={begin} /> : <h1>Choose</h1>}<Problem text={problem} /></>;
  }
  const { progress } = next;
  return (
    <div class="choose">
      {next.set ? (
        <SetView set={next.set} progress={progress} busy={busy} answer={answer} undo={undo} />
      ) : (
        <>
          <h1>That was all</h1>
          <p>You have seen every set there is. Thank you.</p>
          <p class="actions"><button type="button" onClick={undo}>Undo the last</button></p>
        </>
      )}
      <Problem text={problem} />
      <p class="progress" role="status">
        {count(progress.votes)} {progress.votes === 1 ? "vote" : "votes"}
        {progress.ties > 0 ? `, ${count(progress.ties)} without preference` : ""}
        {progress.skipped > 0 ? `, ${count(progress.skipped)} skipped` : ""}
        <button type="button" class="quiet" onClick={leave}>Stop</button>
      </p>
    </div>
  );
}
