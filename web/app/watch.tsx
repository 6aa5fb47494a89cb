import { useEffect, useState } from "preact/hooks";
import { api, messageOf, type Share, type Watch } from "./api";
import { Card, count, percent, Problem, seconds, ShareBar } from "./parts";

const widths = [0.02, 0.05, 0.1];

function More({ share, halfWidth, of }: { share: Share; halfWidth: number; of: string }) {
  if (share.value === null) return null;
  const goal = `±\u00a0${(100 * halfWidth).toFixed(0)}\u00a0points`;
  return (
    <p class="hint">
      {count(share.n)} {of}. {share.more === 0 ? `Already within ${goal}.` : `${count(share.more ?? 0)} more until ${goal}.`}
    </p>
  );
}

function Big({ share }: { share: Share }) {
  return (
    <p class="big">
      {percent(share.value)} {share.low === null ? null : <span class="hint">{percent(share.low)} to {percent(share.high)}</span>}
    </p>
  );
}

function People({ watch }: { watch: Watch }) {
  if (watch.by_person.length === 0) return null;
  return (
    <Card title="People">
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of people">
        <table>
          <thead>
            <tr><th scope="col">who</th><th scope="col">votes</th><th scope="col">no preference</th><th scope="col">skipped</th>
              <th scope="col">median time</th><th scope="col">agrees with others</th><th scope="col">chose the first</th></tr>
          </thead>
          <tbody>
            {watch.by_person.map((person) => (
              <tr key={person.user}>
                <th scope="row"><code>{person.user.slice(0, 8)}</code></th>
                <td>{count(person.votes)}</td><td>{count(person.ties)}</td><td>{count(person.skipped)}</td>
                <td>{seconds(person.median_ms)}</td><td>{percent(person.with_others.value)}</td><td>{percent(person.first.value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {watch.people > watch.by_person.length ? <p class="hint">The {watch.by_person.length} with the most votes, of {count(watch.people)}.</p> : null}
    </Card>
  );
}

export function WatchPage() {
  const [halfWidth, setHalfWidth] = useState(0.05);
  const [watch, setWatch] = useState<Watch | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let wanted = true;
    const load = () =>
      api.watch(halfWidth).then(
        (found) => { if (wanted) { setWatch(found); setProblem(null); } },
        (error) => { if (wanted) setProblem(messageOf(error)); });
    void load();
    const timer = setInterval(load, 10000);
    return () => { wanted = false; clearInterval(timer); };
  }, [halfWidth]);
  return (
    <>
      <h1>What the votes say</h1>
      <Problem text={problem} />
      {watch ? (
        <>
          <p class="lede">
            {count(watch.votes)} votes by {count(watch.people)} {watch.people === 1 ? "person" : "people"},{" "}
            {count(watch.ties)} without preference, {count(watch.skipped)} skipped.
          </p>
          <label class="field short">
            <span>Intervals wanted</span>
            <select value={String(halfWidth)} onChange={(event) => setHalfWidth(Number(event.currentTarget.value))}>
              {widths.map((each) => <option key={each} value={String(each)}>± {(100 * each).toFixed(0)} points</option>)}
            </select>
          </label>
          <div class="cards">
            <Card title="People with each other">
              <Big share={watch.between_people} />
              <ShareBar share={watch.between_people} label="Agreement between people" />
              <More share={watch.between_people} halfWidth={halfWidth} of="comparisons of two people on one pair of images" />
            </Card>
            {watch.with_rewards.map(({ reward, agreement, chance }) => (
              <Card title={`People with ${reward}`} key={reward}>
                <Big share={agreement} />
                <ShareBar share={agreement} mark={chance} label={`Agreement with ${reward}`} />
                <More share={agreement} halfWidth={halfWidth} of={`choices; guessing would reach ${percent(chance)}`} />
              </Card>
            ))}
            {watch.places.map((size) => (
              <Card title={`Position, of ${size.choices}`} key={size.choices}>
                <Big share={size.first} />
                <ShareBar share={size.first} mark={size.unbiased} label={`Choices of the first of ${size.choices}`} />
                <p class="hint">Choices of the first image; without bias {percent(size.unbiased)}. By place: {size.chosen.map(count).join(", ")}.</p>
                <More share={size.first} halfWidth={halfWidth} of="choices" />
              </Card>
            ))}
            <Card title="Speed">
              <p class="big">{seconds(watch.speed_ms.median)} <span class="hint">median</span></p>
              <p class="hint">
                {watch.speed_ms.median == null
                  ? "No votes to tell from yet."
                  : `One in ten takes less than ${seconds(watch.speed_ms.p10)}, one in ten more than ${seconds(watch.speed_ms.p90)}.`}
              </p>
            </Card>
          </div>
          <People watch={watch} />
          <p class="hint">
            Intervals (95 %) take votes as independent; those of one person or prompt are alike, so the truth is less certain than they say.
          </p>
        </>
      ) : null}
    </>
  );
}
