"""What readers of the region's languages call its cities and countries: shown to them, and searched by all."""

from functools import cache

# The Latin name, as GeoNames and ROR have it: the Russian, and the Tajik one where it is another. Where a record
# writes a city otherwise, it is shown as written.
_CITIES = """
Aktobe|Актобе
Almaty|Алматы|Алмаато
Andijan|Андижан|Андиҷон
Arqalyk|Аркалык
Ashgabat|Ашхабад|Ашқобод
Astana|Астана|Остона
Atyrau|Атырау
Baikonur|Байконур
Bishkek|Бишкек
Bokhtar|Бохтар
Bukhara|Бухара|Бухоро
Buston|Бустон|Бӯстон
Chirchiq|Чирчик|Чирчиқ
Darkhon|Дархан|Дархон
Dashoguz|Дашогуз
Denov|Денау|Деҳнав
Dushanbe|Душанбе
Fergana|Фергана|Фарғона
Gorod Bishkek|Бишкек
Guliston|Гулистан|Гулистон
Jalal-Abad|Джалал-Абад|Ҷалолобод
Jizzakh|Джизак|Ҷиззах
Kant|Кант
Karaganda|Караганда
Karakol|Каракол
Khiva|Хива
Khorog|Хорог|Хоруғ
Khujand|Худжанд|Хуҷанд
Kokand|Коканд|Хӯқанд
Kostanay|Костанай
Kulob|Куляб|Кӯлоб
Kurchatov|Курчатов
Kyzylorda|Кызылорда
Mary|Мары|Марв
Namangan|Наманган
Naryn|Нарын|Норин
Navoiy|Навои|Навоӣ
Nukus|Нукус
Oral|Уральск
Osh|Ош|Ӯш
Panjakent|Пенджикент|Панҷакент
Pavlodar|Павлодар
Petropavl|Петропавловск
Qarshi|Карши|Қаршӣ
Qibray|Кибрай
Rasht|Рашт
Samarkand|Самарканд|Самарқанд
Semey|Семей
Shahrisabz|Шахрисабз|Шаҳрисабз
Shymkent|Шымкент|Чимкент
Talas|Талас
Taraz|Тараз
Tashkent|Ташкент|Тошканд
Temirtau|Темиртау
Termez|Термез|Тирмиз
Turkestan|Туркестан|Туркистон
Turkmenabat|Туркменабад|Туркманобод
Urgench|Ургенч|Урганҷ
Ust-Kamenogorsk|Усть-Каменогорск
"""
_COUNTRIES = {
    "KG": "Kyrgyzstan Kyrgyz Republic Кыргызстан Кыргызская Кыргыз Республикасы Киргизия Қирғизистон",
    "KZ": "Kazakhstan Казахстан Қазақстан Қазоқистон",
    "TJ": "Tajikistan Таджикистан Тоҷикистон",
    "TM": "Turkmenistan Türkmenistan Туркменистан Туркмения Туркманистон",
    "UZ": "Uzbekistan Узбекистан Ӯзбекистон Oʻzbekiston",
}


@cache
def _latin() -> dict[str, str]:
    found = {latin.casefold(): latin for latin in _cities()}
    for latin, others in _cities().items():
        for other in others:
            # Two may share a name, as a city and its district do: the first of them is the city.
            found.setdefault(other.casefold(), latin)
    return found


def city_known(written: str) -> str:
    """The Latin name of a city, in whichever of these languages it is written; else as it was written."""
    return _latin().get(written.strip().casefold(), written)


@cache
def _cities() -> dict[str, tuple[str, ...]]:
    lines = (line.split("|") for line in _CITIES.split("\n") if line)
    return {latin: tuple(others) for latin, *others in lines}


def city_for(language: str, city: str) -> str:
    """What readers of a language call a city; as it was written where that is not known."""
    city = city_known(city)
    match language, _cities().get(city):
        case "ru" | "tg", None:
            return city
        case "tg", (_, tajik):
            return tajik
        case "ru" | "tg", (russian, *_):
            return russian
    return city


def called(city: str) -> str:
    """All that a city is called."""
    return " ".join(dict.fromkeys((city, *_cities().get(city_known(city), ()))))


def country_called(code: str) -> str:
    """All that a country is called: of one outside the region its code."""
    return f"{code} {_COUNTRIES.get(code, '')}".strip()
