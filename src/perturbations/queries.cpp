#include "perturbations/queries.h"

#include <fmt/format.h>

namespace imagerank::perturbations::queries {

std::string norm(std::string_view column) {
  return fmt::format(R"(lower(trim(regexp_replace(nfc_normalize({}), '[\s\p{{Z}}]+', ' ', 'g'))))", column);
}

std::string prompt_texts() {
  return fmt::format(R"(
    CREATE TABLE prompt_text AS
    SELECT prompt, judged, {} AS norm
    FROM (SELECT prompt, bool_or(judged) AS judged
          FROM (SELECT prompt, true AS judged FROM rankings UNION ALL SELECT prompt, true FROM ratings
                UNION ALL SELECT prompt, false FROM images)
          WHERE prompt IS NOT NULL GROUP BY prompt))",
                     norm("prompt"));
}

std::string unique_prompts() {
  return R"(
    CREATE TABLE unique_prompt AS
    SELECT CAST(row_number() OVER (ORDER BY judged DESC, norm) - 1 AS INTEGER) AS id, norm, judged, prompt
    FROM (SELECT norm, bool_or(judged) AS judged, coalesce(min(prompt) FILTER (judged), min(prompt)) AS prompt
          FROM prompt_text WHERE norm <> '' GROUP BY norm)
    ORDER BY id)";
}

std::string right_prompts() {
  return R"(
    CREATE TABLE right_prompt AS
    SELECT CAST(row_number() OVER (ORDER BY t.prompt) - 1 AS INTEGER) AS r, t.prompt, u.id,
           u.id IN (SELECT id FROM shared) AS shares
    FROM prompt_text t JOIN unique_prompt u USING (norm) WHERE t.judged ORDER BY r)";
}

std::string shared_images() {
  // Most images have one prompt: what is left after the first grouping is small.
  return R"(
    CREATE TABLE shared AS
    WITH right_for AS (
      SELECT prompt, unnest(image_uids) AS image_uid FROM rankings UNION ALL SELECT prompt, image_uid FROM ratings
      UNION ALL SELECT prompt, image_uid FROM images),
    several AS (
      SELECT image_uid, CAST(row_number() OVER (ORDER BY image_uid) - 1 AS INTEGER) AS image
      FROM right_for WHERE prompt <> '' GROUP BY image_uid HAVING min(prompt) <> max(prompt))
    SELECT DISTINCT u.id, s.image
    FROM right_for JOIN several s USING (image_uid) JOIN prompt_text USING (prompt) JOIN unique_prompt u USING (norm)
    ORDER BY id, image)";
}

std::string swapped() {
  return R"(
    INSERT INTO made
    SELECT r.r, c.place, u.prompt, 'prompt', format('prompt: distance {:.2f}', c.distance)
    FROM chosen c JOIN right_prompt r USING (id) JOIN unique_prompt u ON u.id = c.other)";
}

std::string drop_right_ones() {
  return fmt::format(R"(
    DELETE FROM made WHERE (r, place) IN (
      SELECT m.r, m.place FROM made m JOIN right_prompt p ON p.r = m.r AND p.shares JOIN unique_prompt q ON q.norm = {}
      JOIN shared a ON a.id = p.id JOIN shared b ON b.id = q.id AND b.image = a.image))",
                     norm("m.perturbed_prompt"));
}

std::string drop_surplus(std::size_t per_prompt) {
  return fmt::format(R"(
    DELETE FROM made WHERE (r, place) IN (
      SELECT r, place FROM (SELECT r, place, row_number() OVER (PARTITION BY r ORDER BY place) AS n FROM made
                            WHERE r IN (SELECT r FROM right_prompt WHERE shares)) WHERE n > {}))",
                     per_prompt);
}

std::string table(std::string_view mode) {
  const std::string made = fmt::format(
      "(SELECT p.prompt, m.perturbed_prompt, '{}' AS mode, m.what_changed FROM made m JOIN right_prompt p USING (r) "
      "ORDER BY m.r, m.place)",
      mode);
  const auto others = [&](std::string_view which) {
    return fmt::format("(SELECT prompt, perturbed_prompt, mode, what_changed FROM perturbed WHERE mode {} '{}')", which,
                       mode);
  };
  // Modes in the order of their names, so that the order in which they were made does not show.
  return fmt::format("{} UNION ALL {} UNION ALL {}", others("<"), made, others(">"));
}

}  // namespace imagerank::perturbations::queries
