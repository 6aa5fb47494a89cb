#pragma once

#include <array>
#include <string_view>
#include <utility>

// The words themselves. In the lists: words are separated by spaces, families by "|", the parts of a phrase by "_".

namespace imagerank::perturbations::words {

// singular, or singular:plural where "s" is not the rule. "*": true of others of its family too (dog, poodle). "-":
// found in prompts, never put into one; so are all words for children.
// "?": also a verb or a name, so a noun only after an article, a number or an adjective of size or colour.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kNouns = {{
    {"animal",
     "dog* puppy*:puppies poodle bulldog dalmatian golden_retriever- german_shepherd- | cat* kitten* | wolf:wolves | "
     "fox:foxes? | lion* lioness*-:lionesses | tiger | leopard cheetah | bear* polar_bear panda | "
     "horse* pony*-:ponies stallion*- | zebra | donkey | cow* bull*-? | pig* piglet*- | sheep*:sheep lamb* | goat | "
     "rabbit* bunny*-:bunnies | squirrel | hedgehog | mouse:mice rat | monkey* gorilla chimpanzee | elephant | giraffe "
     "| "
     "rhino* hippo hippopotamus-:hippopotamuses | kangaroo | koala | camel | deer:deer | moose:moose | "
     "bird* eagle owl parrot crow* raven* chicken penguin swan flamingo peacock duck | fish*:fish shark "
     "goldfish:goldfish "
     "| whale dolphin | octopus:octopuses | crab lobster | turtle* tortoise* | frog* toad* | snake | crocodile* "
     "alligator* | lizard | spider | butterfly:butterflies | bee* | snail | otter | raccoon | toucan | hamster | "
     "beaver | ostrich:ostriches | goose:geese | llama | buffalo:buffaloes"},
    {"vehicle",
     "car* taxi limousine convertible- sports_car race_car | truck* fire_truck | bus:buses | van? | train* | tram | "
     "bicycle* bike* | motorcycle* motorbike* | scooter | boat* ship* sailboat yacht canoe | submarine | "
     "airplane* plane* | helicopter | hot_air_balloon | spaceship* spacecraft*:spacecraft rocket? | tank | tractor | "
     "carriage"},
    {"fruit",
     "apple | pear | banana | orange? | lemon | peach:peaches | strawberry:strawberries | cherry:cherries? | grape | "
     "pineapple | watermelon | mango:mangoes | avocado"},
    {"vegetable",
     "tomato:tomatoes | potato:potatoes | carrot | pumpkin | "
     "mushroom | cucumber"},
    {"dish",
     "pizza | hamburger* burger* cheeseburger* | sandwich:sandwiches | hot_dog | cake* cupcake* | "
     "donut* doughnut* | cookie | croissant | pancake | taco | pretzel"},
    {"furniture",
     "chair* armchair* | stool | bench:benches | table* desk* | bed | sofa* couch*:couches | bookshelf*:bookshelves | "
     "wardrobe"},
    {"clothing",
     "hat* cap*? top_hat | helmet | crown | hood? | jacket* coat* | sweater* hoodie* | shirt* t-shirt* | "
     "dress:dresses? "
     "gown* | skirt | suit*? tuxedo* | scarf:scarves | necklace | cape? cloak* | apron | kimono"},
    {"instrument",
     "guitar | piano | violin | cello | trumpet | saxophone | flute | drum | harp | accordion | banjo | ukulele"},
    {"person",
     "man*:men guy*- gentleman*-:gentlemen boy*- grandfather* grandpa*- | woman*:women lady*-:ladies girl*- "
     "grandmother* "
     "grandma*- | baby*-:babies"},
    {"profession",
     "doctor? | nurse? | teacher | chef* cook*-? | firefighter* fireman*-:firemen | police_officer* "
     "policeman*-:policemen "
     "cop*-? | soldier | astronaut | pilot? | farmer | fisherman:fishermen | scientist | painter | musician | dancer* "
     "ballerina* | boxer | cowboy | pirate | knight | samurai:samurai | ninja | viking | king? | queen? | wizard* "
     "sorcerer* | witch:witches? | clown | priest | nun | businessman*:businessmen | mechanic? | surfer | skateboarder "
     "| detective* investigator*- | gladiator | warrior* | spy:spies? | judge? | athlete"},
    {"creature",
     "dragon | unicorn | robot* android* cyborg* | alien | zombie | vampire | werewolf:werewolves | mermaid | "
     "fairy:fairies? "
     "| elf:elves | dwarf:dwarves | goblin* orc* troll* | ghost | skeleton | dinosaur | angel? | demon* devil*? | "
     "centaur | "
     "phoenix:phoenixes"},
    {"building",
     "house* cottage* cabin* hut* mansion | castle* palace* fortress*-:fortresses | church*:churches cathedral* | "
     "temple? | mosque | skyscraper | lighthouse | windmill | barn | bridge? | pyramid | tent"},
    {"plant",
     "tree* oak_tree palm_tree cherry_tree | cactus:cactuses | sunflower | rose? | tulip | daisy:daisies? | "
     "lily:lilies? "
     "| bush:bushes? | fern"},
    {"thing",
     "book* | lamp | lantern | statue | mirror | clock | umbrella | candle | bottle | cup mug? | vase | teapot | "
     "basket | suitcase | camera? | telephone* "
     "phone* | laptop* computer* | television* tv*- | key? | balloon | kite | bucket? | broom | ladder"},
    {"weapon", "sword* katana | axe | spear | bow? | gun* pistol* rifle* | shield? | hammer? | lightsaber"},
    {"toy",
     "teddy_bear | doll? | rubber_duck | snowman:snowmen | puppet | soccer_ball | basketball? | skateboard | "
     "surfboard"},
}};

// "-": found in prompts, never put into one.
inline constexpr std::array<std::string_view, 4> kColours = {
    "red crimson- scarlet- maroon- | orange- | yellow | green emerald- lime- mint- | blue navy- turquoise- teal- cyan- "
    "azure- | "
    "purple violet- lavender- indigo- | pink magenta- fuchsia- | brown beige- | black | white ivory- | gray grey-",
    "gold golden- | silver | bronze copper-",
    "blonde blond- | brunette",
    "black_and_white- monochrome monochromatic- grayscale- greyscale- | full_color- full_colour- colorful colourful-",
};

// words ; opposites
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kSizes = {{
    {"big large huge giant gigantic enormous massive colossal oversized", "small tiny"},
    {"small tiny little miniature minuscule microscopic", "large huge giant"},
    {"tall", "short"},
    {"short", "tall"},
    {"long", "short"},
    {"fat chubby obese overweight plump", "thin skinny"},
    {"skinny slim slender", "fat chubby"},
    {"thin", "thick"},
    {"thick", "thin"},
    {"narrow", "wide"},
    {"wide broad", "narrow"},
}};
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kRelations = {{
    {"on_top_of", "underneath"},
    {"atop", "underneath"},
    {"underneath beneath below", "above"},
    {"under", "above"},
    {"above", "below"},
    {"in_front_of", "behind"},
    {"behind", "in_front_of"},
    {"inside", "outside"},
    {"outside", "inside"},
    {"next_to beside", "far_from"},
    {"near close_to", "far_from"},
    {"far_from", "next_to"},
    {"to_the_left_of on_the_left_of", "to_the_right_of"},
    {"to_the_right_of on_the_right_of", "to_the_left_of"},
    {"over", "under"},
    {"on", "under"},
}};
// Pairs that hold both ways.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kMirrored = {{
    {"on_the_left", "on_the_right"},
    {"left_side", "right_side"},
    {"left_hand", "right_hand"},
    {"left_arm", "right_arm"},
    {"left_eye", "right_eye"},
    {"left_leg", "right_leg"},
    {"facing_left", "facing_right"},
    {"looking_left", "looking_right"},
    {"looking_up", "looking_down"},
    {"to_the_left", "to_the_right"},
    {"from_above", "from_below"},
    {"with", "without"},
}};

// noun, or noun=the phrase that puts it into a prompt.
inline constexpr std::string_view kPlaces =
    "forest=in_a_forest woods rainforest | jungle=in_a_jungle | beach=on_a_beach seaside shore coast | "
    "desert=in_a_desert dunes | city=in_a_city town village street streets alley downtown | "
    "mountains=in_the_mountains mountain hills hill mountaintop | field=in_a_field meadow grassland farm pasture | "
    "snow=in_the_snow ice | space=in_outer_space outer_space galaxy cosmos universe | ocean=in_the_ocean sea lake "
    "river "
    "pond water pool | kitchen=in_a_kitchen | bedroom=in_a_bedroom | living_room=in_a_living_room | "
    "bathroom=in_a_bathroom "
    "| office=in_an_office | classroom=in_a_classroom school | library=in_a_library bookstore | garden=in_a_garden "
    "backyard | park=in_a_park | restaurant=in_a_restaurant cafe bar pub diner | gym=in_a_gym | hospital=in_a_hospital "
    "| "
    "supermarket=in_a_supermarket | stadium=in_a_stadium | cave=in_a_cave | moon=on_the_moon | mars=on_mars | "
    "ruins=in_ancient_ruins | circus=at_a_circus | battlefield=on_a_battlefield | swamp=in_a_swamp | "
    "subway=in_a_subway | prison=in_a_prison | factory=in_a_factory | courtroom=in_a_courtroom";

// Every word of a group may stand for another; families are near synonyms.
inline constexpr std::array<std::string_view, 6> kTimes = {
    "at_night at_midnight by_night | at_noon at_midday during_the_day | at_sunset at_dusk | at_sunrise at_dawn",
    "in_winter in_the_winter | in_summer in_the_summer | in_autumn in_the_autumn | in_spring in_the_spring",
    "in_the_rain | in_the_fog in_the_mist | in_the_sunshine",
    "rainy stormy | sunny | foggy misty | snowy",
    "winter | summer summertime | autumn | spring springtime",
    "night nighttime midnight | noon | sunset dusk | sunrise dawn",
};

inline constexpr std::array<std::string_view, 11> kNumbers = {"two",   "three", "four", "five",   "six",   "seven",
                                                              "eight", "nine",  "ten",  "eleven", "twelve"};

// Names, set phrases and technical terms whose words mean something else alone.
inline constexpr std::string_view kProtected =
    "black_hole black_holes black_magic black_metal black_friday black_mirror black_adam black_widow black_panther "
    "black_sabbath black_clover black_lives_matter black_market black_light jack_black jack_white betty_white "
    "snow_white "
    "walter_white white_house white_walker white_walkers white_noise barry_white white_balance white_collar red_carpet "
    "red_dead_redemption red_wine red_riding_hood little_red_riding_hood red_bull red_cross red_hot red_panda "
    "red_giant "
    "red_light red_alert blue_whale blue_hour blue_jay blue_collar blue_velvet blue_lagoon blue_eyes_white_dragon "
    "green_tea green_screen green_lantern green_arrow green_day green_goblin eva_green seth_green john_green "
    "green_energy "
    "pink_floyd pink_panther purple_rain purple_haze yellow_submarine yellow_pages brown_bear james_brown chris_brown "
    "bobby_brown charlie_brown brown_sugar golden_hour golden_age golden_gate golden_gate_bridge golden_ratio "
    "golden_eagle "
    "golden_girls silver_surfer silver_screen orange_juice orange_is_the_new_black clockwork_orange agent_orange "
    "gray_matter grey_matter dorian_gray dorian_grey christian_grey britney_spears bat_woman ninja_gaiden hot_wheels "
    "gandalf_the_grey gandalf_the_white blood_orange frank_ocean "
    "lana_del_rey rose_gold rose_petals gold_medal gold_rush solid_gold "
    "big_ben big_bang big_data big_bird big_brother big_mac big_apple big_lebowski big_foot little_mermaid "
    "little_prince "
    "little_bit little_richard stuart_little chicken_little long_exposure long_shot long_distance long_lens long_time "
    "large_format large_language_model large_scale wide_angle wide_shot wide_lens wide_open short_film short_story "
    "short_circuit deep_learning deep_focus deep_space deep_dream deep_blue deep_sea deep_field deep_depth_of_field "
    "small_business "
    "tiny_tim thin_lizzy "
    "iron_man pac_man stick_man macho_man tank_top spider_man ant_man super_man bat_man he_man invisible_man "
    "rocket_man burning_man michelin_man vitruvian_man "
    "marlboro_man muffin_man rain_man gingerbread_man wonder_woman cat_woman pretty_woman lion_king "
    "burger_king stephen_king king_kong king_of_the_hill king_arthur martin_luther_king megan_fox michael_j_fox "
    "tiger_woods "
    "tiger_king bear_grylls bear_market bull_market pit_bull nicolas_cage cage_the_elephant doctor_who doctor_strange "
    "doctor_octopus doctor_doom master_chief queen_elizabeth queen_victoria harley_quinn "
    "ghost_rider ghost_in_the_shell ghost_town angel_falls los_angeles blade_runner rocket_raccoon star_wars peter_pan "
    "harry_potter robin_hood spider_web spider_webs spider_verse fish_eye fisheye bird_eye birds_eye_view "
    "worms_eye_view worm_s_eye_view five_nights_at_freddy_s full_moon "
    "bird_s_eye_view mickey_mouse minnie_mouse computer_mouse mouse_pad donald_duck "
    "daffy_duck micky_mouse computer_graphics computer_science computer_generated computer_game book_cover key_art "
    "key_visual key_light key_frame kite_runner house_of_cards house_music dr_house full_house house_of_the_dragon "
    "car_park "
    "bus_stop train_station space_station gas_station police_station table_tennis table_top drum_and_bass drum_kit "
    "bow_tie "
    "top_down cup_of mug_shot phone_case phone_booth camera_angle camera_lens camera_shot camera_obscura "
    "baby_yoda baby_shark baby_groot baby_face lady_gaga lady_bug lady_liberty lady_and_the_tramp spice_girls "
    "boy_band game_boy girl_power game_of_thrones guy_fawkes family_guy guy_ritchie bad_guy "
    "suit_of_armor suit_of_armour law_suit full_suit cold_war street_art street_view street_photography street_fighter "
    "wall_street sesame_street space_invaders space_jam space_x water_color water_colour water_color_painting "
    "way_of_water avatar_way_of_the_water way_of_the_water bar_chart bar_code ice_cream ice_age ice_t school_bus "
    "coat_of_arms coats_of_arms "
    "city_hall park_bench jurassic_park south_park linkin_park garden_gnome office_chair beach_boys beach_ball "
    "water_park "
    "new_york north_star in_the_style_of in_style_of in_the_middle_of in_the_background in_the_foreground "
    "in_the_distance "
    "behind_the_scenes behind_the_wheel behind_bars under_construction under_attack under_armour under_control "
    "inside_out "
    "above_all above_and_beyond over_the_top over_the_shoulder all_over over_and_over on_top on_fire on_stage "
    "near_future close_to_camera beyond_the_sea  "
    "friday_night saturday_night_live good_night starry_night the_starry_night night_vision night_club dark_souls "
    "spring_breakers spring_break winter_soldier summer_wars winter_is_coming fall_guys two_face one_piece "
    "one_punch_man "
    "two_towers three_kingdoms three_musketeers seven_samurai four_seasons fantastic_four twelve_monkeys high_five "
    "take_five five_nights three_dimensional two_dimensional three_quarter three_quarters three_point two_tone "
    "two_thirds rule_of_thirds nine_inch_nails ten_commandments six_pack six_packs  hot_dog_stand "
    "elden_ring dragon_ball dragon_age dungeons_and_dragons imagine_dragons house_plant robot_chicken mr_robot i_robot "
    "teddy_roosevelt eagle_eye crab_nebula horse_power horse_riding cowboy_bebop "
    "cowboy_shot angel_of_the_north witch_hazel baby_blue sky_blue pitch_black jet_black off_white";

}  // namespace imagerank::perturbations::words
