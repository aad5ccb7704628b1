"""The words synthetic texts are made of: 512 common English ones, most of them one token everywhere."""

from typing import Final

WORDS: Final = tuple(
    """
about above action actual advance after against agree allow alone already always amount ancient annual
answer apply argue arrive article attack author average balance base battle bear became become began
behind being below best between bill black blood board body born bottom bread break brief bring broken
brought budget build business button call camera captain care case catch cell central certain chain
chance chapter cheap chief choice church circle city class clear climb close cloud coast coffee collect
color come common compare concern consider contain cook cool copy correct cotton count couple course
cover create crime crowd current custom daily dance dark daughter deal dear debate decision degree demand
describe desert desk develop difference dinner discover discuss distance doctor double down dream dress
drive during each earth easy education effect eight electric else energy enjoy enough entire escape
evening ever evidence exact except exercise expect explain extra face factor fall family farm father
favor feature feet fight file film final fine finish firm fish floor flow follow foot foreign forget
forward found free friend fruit full future game gate general girl glass gold gone government grass great
ground grow guard guide half hand happy hard head health heart heavy help hero hill history hole honest
hope hospital hour house huge hundred hurry idea imagine impact improve include increase industry inside
instead into island item journey jump just kept king knew labor lady lake language last laugh lead least
leave legal less letter library lift light limit list little local look lose lost lower lunch made main
make manage many mark master material maybe mean meat medical member mental metal method might milk mind
minute mission mistake model moment month moral morning most motion mouth much must narrow nation nature
necessary need neither news next night noise normal nose nothing notice object offer often only opinion
orange other over page pair parent park party past pattern people period person photo picture place plan
plant play please pocket point policy popular possible power prepare press price private process produce
program promise protect prove pull purpose quality queen quick quite radio rain range rate reach ready
reason receive record region remain remove reply report rest return rich right rise river rock roof root
round rule safe sail same save scene science score season second section select send sentence separate
serious service seven shade share sharp ship shoe short shoulder show side sign silence similar since
sister site skill sleep small smooth social society soil solution song sort source south speak speed
spirit spread square stage star state stay steel still stone stop storm straight stream strong student
subject such sugar summer support sure surprise system taken tall teach team temple test thank them
theory these they thin think this though thousand three throw time title together tone took total toward
track train treat tree trip truck trust turn twenty type unit upon valley various very view visit wait
wall warm watch water wear week welcome west wheel when which white whose wife will wind winter with
without wonder word work worry would wrong year yesterday
""".split()  # noqa: SIM905 - a list would be 512 lines
)
