#include "simulation/caption_set.h"

#include "core/fail.h"
#include "simulation/grammar.h"

namespace imagerank::simulation {

std::vector<Picture> make_caption_set(const CaptionSetOptions& options) {
  if (options.captions < 1 || options.captions > 10'000'000) {
    fail(ErrorCode::kInvalidArgument, "captions must be 1 to 10000000, found {}", options.captions);
  }
  if (options.image_size < 32 || options.image_size > 2048) {
    fail(ErrorCode::kInvalidArgument, "image size must be 32 to 2048, found {}", options.image_size);
  }
  std::vector<Picture> pictures(options.captions);
  for (std::uint64_t i = 0; i < options.captions; ++i) {
    Random random = stream(options.seed, Purpose::kCaption, i);
    Picture& picture = pictures[i];
    picture.uid = make_uid(options.seed, i);
    picture.model = "easel";
    picture.scene = random_scene(random, options.hold_out);
    picture.quality = random_quality(0.45, random);
    picture.prompt = write_caption(picture.scene, picture.quality, random);
    picture.size = options.image_size;
    picture.png = random.chance(0.15);
    picture.seed = random.next();
  }
  return pictures;
}

}  // namespace imagerank::simulation
