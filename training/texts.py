"""Punctuated sentences in the demonstration's characters: what train_punctuation.py learns and is tested on.

The clauses are the phrases of tests/data/demo_phrases.txt and of its kind, and clauses put together from parts. What stands
between two of them follows from the clauses themselves, as it does for a reader: a greeting or a circumstance (外面下雨了)
belongs to what comes next, a request or a statement ends the sentence, a question ends with its mark, and descriptions in
a row (模型很小，速度很快) are one sentence.
"""
import pathlib
import zlib

PHRASES = pathlib.Path(__file__).resolve().parent.parent / "tests/data/demo_phrases.txt"

QUESTIONS = set("请问现在几点了 火车几点到 多少钱 你叫什么名字".split())
GREETINGS = set("你好 大家好 没有关系".split())
CIRCUMSTANCES = set("""外面下雨了 视频会议开始了 飞机已经起飞了 声音太小听不清楚 太贵了 现在开始直播 今天天气很好
新闻联播现在开始 这个问题很重要 我不知道""".split())
DESCRIPTIONS = set("模型很小 速度很快 天空很蓝".split())
NOUNS = set("人工智能 机器学习 流式语音识别 实时字幕".split())

# Characters that the recogniser does not know, but text from elsewhere has in its questions and subordinate clauses.
MORE_CHARACTERS = "吗呢谁哪里因教室站雪"

WHO = "我 我们 他 他们 大家 老师 学生 你们 同学们 老师和学生".split()
WHEN = "今天 明天 现在 今天下午 明天上午 明天早上 每天早上 下午三点 上午九点 今年".split()
WHERE = "公园 学校 北京 教室 会场 火车站".split()
DO = "学习汉语 跑步 开会 上课 吃饭 看电影 工作 看新闻 直播 学习人工智能 打电话".split()
THINGS = "学校 公园 电影 字幕 音乐 新闻 视频 电话 汉语 北京 天空 老师 语音 机器 模型 会议 直播 书 水 饭 花".split()
SUBJECTS = "今天天气 天空 模型 速度 声音 字幕 学校 公园 电影 老师 会议 问题 北京 火车 汉语 窗户".split()
QUALITIES = "好 小 快 慢 大 重要 清楚 高兴 蓝 贵 便宜 简单 安静 美".split()


def clauses(known):
    """A function of `rng` that draws (kind, text) of a clause; only characters in `known` are used."""
    fits = lambda words: [w for w in words if set(w) <= known]
    who, when, where, do, things = map(fits, (WHO, WHEN, WHERE, DO, THINGS))
    subjects, qualities = fits(SUBJECTS), fits(QUALITIES)
    phrases = ["".join(line.split()) for line in PHRASES.read_text(encoding="utf-8").splitlines()]
    kinds = [("question", QUESTIONS), ("greeting", GREETINGS), ("circumstance", CIRCUMSTANCES),
             ("description", DESCRIPTIONS), ("noun", NOUNS)]
    phrases = [(next((kind for kind, members in kinds if p in members), "statement"), p) for p in phrases]
    digits = "零一二三四五六七八九"

    def built(rng):
        w, d = rng.choice(who), rng.choice(do)
        t, p = rng.choice([*when, ""]), rng.choice(where)
        subject, quality = rng.choice(subjects), rng.choice(qualities)
        a, b, c = rng.sample(things, 3)
        number = "".join(rng.choice(digits) for _ in range(rng.randint(2, 6)))
        return rng.choice([
            ("statement", f"{t}{w}{rng.choice(['在', '去'])}{p}{d}"), ("statement", f"{w}{t}{d}"), ("statement", f"{t}{w}都{d}"),
            ("statement", f"{t}{w}都{rng.choice(['在', '去'])}{p}{d}"), ("statement", f"{w}{t}{rng.choice(['都', ''])}在{p}{d}"),
            ("statement", f"{t}{w}去{p}{d}吧"), ("statement", f"{t}我们一起{d}吧"), ("statement", f"我的电话号码是{number}"),
            ("statement", f"{w}喜欢{d}"), ("statement", f"欢迎使用{a}"), ("statement", f"请{rng.choice(['打开', '说', '看'])}{a}"),
            ("statement", f"别忘了{d}"), ("statement", f"{w}想{d}"), ("statement", f"请{t}{d}"),
            ("enumeration", f"{w}喜欢{a}、{b}和{c}"), ("enumeration", f"这是{a}、{b}和{c}"), ("enumeration", f"请看{a}、{b}和{c}"),
            ("enumeration", f"{p}有{a}、{b}、{c}"),
            ("question", f"{w}{t}去{p}{d}吗"), ("question", f"{t}{w}{d}吗"), ("question", f"{w}喜欢{a}吗"),
            ("question", f"这是什么{a}"), ("question", f"你{t}几点{d}"), ("question", f"{w}在哪里{d}"),
            ("question", f"{a}多少钱"), ("question", f"{subject}{quality}吗"), ("question", f"谁{t}{d}"),
            ("question", f"{w}{t}{rng.choice(['去不去', '在不在', '喜欢不喜欢'])}{p}"),
            ("question", f"{subject}{quality}不{quality}"),
            ("question", f"{w}{t}做什么"), ("question", "这是什么时候"), ("question", "现在几点了"), ("question", f"有多少{a}"),
            ("description", f"{subject}{rng.choice(['很', '太'])}{quality}"), ("description", f"{subject}很{quality}"),
            ("circumstance", f"{t}{rng.choice(['下雨', '下雪', '开会', '上课', '直播'])}了"), ("circumstance", f"{w}到{p}了"),
            ("circumstance", f"如果{w}{t}{d}"), ("circumstance", f"因为{subject}很{quality}"),
        ])

    def draw(rng):
        kind, text = rng.choice(phrases) if rng.random() < 0.5 else built(rng)
        return (kind, text) if set(text) - {"、"} <= known else draw(rng)

    return draw


def unseen(before, after):
    """Whether these two clauses in a row are kept out of the training: one pair in eight is."""
    return zlib.crc32((before + after).encode()) % 8 == 0


def paragraph(rng, draw, count, test=False):
    """`count` clauses with their marks; the last one ends its sentence. In a test all neighbours are unseen, else none.

    Descriptions and nouns are followed by their like about every other time.
    """
    drawn, text = [draw(rng)], ""
    while len(drawn) < count:
        clause = draw(rng)
        while drawn[-1][0] in ("description", "noun") and clause[0] != drawn[-1][0] and rng.random() < 0.9:
            clause = draw(rng)
        if unseen(drawn[-1][1], clause[1]) == test:
            drawn.append(clause)
    for i, (kind, clause) in enumerate(drawn):
        after = drawn[i + 1][0] if i + 1 < count else None
        leads = (kind in ("greeting", "circumstance") and after not in (None, "greeting")
                 or kind in ("description", "noun") and after == kind)
        if kind == "question":
            mark = "？"
        elif kind == "noun" and leads:
            mark = "、"
        else:
            mark = "，" if leads else "。"
        text += clause + mark
    return text
