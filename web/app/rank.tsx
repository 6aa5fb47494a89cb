import { useEffect, useRef, useState } from "preact/hooks";
import { api, messageOf, type Model, type Ranking, type Scored } from "./api";
import { percent, Problem } from "./parts";

interface Picture { name: string; url: string; file: File }

const dataUri = (file: File) =>
  new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => {
      const text = String(reader.result);
      // A file of no known type comes as "data:...;base64," of any kind; the server looks at the bytes.
      resolve(text.slice(text.indexOf(",") + 1));
    };
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });

function Item({ scored, picture }: { scored: Scored; picture: Picture | undefined }) {
  const name = picture?.name ?? `image ${scored.index + 1}`;
  return (
    <li class={scored.error ? "failed" : undefined}>
      <span class="place" aria-hidden="true">{scored.rank ?? "-"}</span>
      {picture && !scored.error ? <img src={picture.url} alt="" /> : <span class="gap" aria-hidden="true">?</span>}
      <div class="say">
        <span class="name">{name}</span>
        {scored.error ? (
          <span class="wrong">not scored: {scored.error.message}</span>
        ) : (
          <span>
            <b>{scored.score?.toFixed(4)}</b>
            {scored.probability === null || scored.probability === undefined ? null : (
              <span class="hint"> best with {percent(scored.probability)}</span>
            )}
          </span>
        )}
        {scored.truncated ? <span class="badge">prompt was cut</span> : null}
      </div>
    </li>
  );
}

export function Rank() {
  const [models, setModels] = useState<Model[] | null>(null);
  const [chosen, setChosen] = useState<string[]>([]);
  const [prompt, setPrompt] = useState("");
  const [pictures, setPictures] = useState<Picture[]>([]);
  const [results, setResults] = useState<{ rankings: Ranking[]; pictures: Picture[] } | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    api.models().then((list) => {
      setModels(list);
      setChosen(list.slice(0, 1).map((model) => model.id));
    }, (error) => setProblem(messageOf(error)));
  }, []);

  const add = (files: Iterable<File>) => {
    const fresh = [...files].map((file) => ({ name: file.name, url: URL.createObjectURL(file), file }));
    setPictures((known) => [...known, ...fresh]);
  };
  const clear = () => {
    setPictures([]);
    setResults(null);
    setProblem(null);
  };
  const toggle = (id: string) =>
    setChosen((now) => (now.includes(id) ? now.filter((each) => each !== id) : [...now, id]));
  const rank = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const images = await Promise.all(pictures.map((picture) => dataUri(picture.file)));
      setResults({ rankings: await api.rank(chosen, prompt, images), pictures });
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };

  const ready = pictures.length > 0 && chosen.length > 0 && !busy;
  return (
    <>
      <h1>Rank images for a prompt</h1>
      {models?.length === 0 ? (
        <p class="hint">This server collects votes and serves no reward yet: train one on them, and start it with --reward.</p>
      ) : null}
      <form onSubmit={rank}>
        <label class="field">
          <span>Prompt</span>
          <textarea rows={2} value={prompt} placeholder="a red car in the rain" onInput={(event) => setPrompt(event.currentTarget.value)} />
        </label>
        {models && models.length > 1 ? (
          <fieldset>
            <legend>Rewards, side by side</legend>
            {models.map((model) => (
              <label class="check" key={model.id}>
                <input type="checkbox" checked={chosen.includes(model.id)} onChange={() => toggle(model.id)} />
                <span>{model.id}</span>
              </label>
            ))}
          </fieldset>
        ) : null}
        <div
          class={over ? "drop over" : "drop"}
          onDragOver={(event) => { event.preventDefault(); setOver(true); }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            event.preventDefault();
            setOver(false);
            add(event.dataTransfer?.files ?? []);
          }}
        >
          {pictures.length > 0 ? (
            <ul class="thumbs" aria-label="Images to rank">
              {pictures.map((picture, index) => (
                <li key={picture.url}>
                  <img src={picture.url} alt={picture.name} />
                  <button type="button" aria-label={`Take ${picture.name} away`} title="Take away"
                    onClick={() => setPictures((now) => now.filter((_, at) => at !== index))}>
                    <span aria-hidden="true">&times;</span>
                  </button>
                </li>
              ))}
            </ul>
          ) : null}
          <p>Drop images here, or <button type="button" class="quiet" onClick={() => input.current?.click()}>choose files</button></p>
          <input ref={input} type="file" accept="image/*" multiple hidden aria-label="Images"
            onChange={(event) => { add(event.currentTarget.files ?? []); event.currentTarget.value = ""; }} />
        </div>
        <p class="actions">
          <button type="submit" class="main" disabled={!ready}>{busy ? "Ranking..." : "Rank"}</button>
          <button type="button" class="quiet" onClick={clear} disabled={pictures.length === 0}>Clear</button>
        </p>
      </form>
      <Problem text={problem} />
      {results ? (
        <div class="columns" aria-live="polite">
          {results.rankings.map((ranking) => (
            <section class="card" key={ranking.reward}>
              <h2>{ranking.reward}</h2>
              {models?.find((model) => model.id === ranking.reward)?.untrained ? (
                <p class="hint">Its encoder was never trained: these scores say nothing about images.</p>
              ) : null}
              <ol class="ranked">
                {ranking.scores.map((scored) => (
                  <Item key={scored.index} scored={scored} picture={results.pictures[scored.index]} />
                ))}
              </ol>
              {ranking.failed > 0 ? <p class="hint">{ranking.failed} could not be scored.</p> : null}
            </section>
          ))}
        </div>
      ) : null}
    </>
  );
}
